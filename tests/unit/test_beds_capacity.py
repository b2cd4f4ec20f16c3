"""Quotas that do not fit are refused with their sum."""

from pathlib import Path
from types import MappingProxyType

import pytest

from streambed.beds import capacity
from streambed.errors import StreambedError
from streambed.inventory import Node

HOST = capacity.Host(cores=2, memory_bytes=16 * 2**30)


def node(name: str, cpus: float | None, gib: float | None) -> Node:
    return Node(
        name=name,
        address="10.83.1.11",
        bed_address="10.83.1.11",
        groups=frozenset(),
        cpus=cpus,
        memory_bytes=None if gib is None else round(gib * 2**30),
        user="root",
        port=22,
        key_file=Path("/key"),
        known_hosts=None,
        proxy_jump=None,
        variables=MappingProxyType({}),
    )


def test_decimal_quotas_may_fill_the_host() -> None:
    capacity.check([node("a", 0.1, 8), node("b", 0.2, 4), node("c", 1.7, 4)], HOST)


def test_too_many_cpus_are_refused_with_the_sum() -> None:
    with pytest.raises(StreambedError, match=r"a 0\.5 \+ b 1\.6 = 2\.1 cpus, the host has 2"):
        capacity.check([node("a", 0.5, 1), node("b", 1.6, 1)], HOST)


def test_too_much_memory_is_refused_with_the_sum() -> None:
    with pytest.raises(StreambedError, match=r"a 12 GiB \+ b 5 GiB = 17 GiB of memory"):
        capacity.check([node("a", 1, 12), node("b", 1, 5)], HOST)


@pytest.mark.parametrize(
    ("cpus", "gib", "key"), [(None, 1, "cpus"), (0, 1, "cpus"), (1, None, "memory")]
)
def test_a_container_without_a_quota_is_refused(
    cpus: float | None, gib: float | None, key: str
) -> None:
    with pytest.raises(StreambedError, match=f"node a: .*`{key}`"):
        capacity.check([node("a", cpus, gib)], HOST)
