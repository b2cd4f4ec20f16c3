"""Gate 8 on the nodes: quotas are in force, and nobody used more than its own."""

import dataclasses
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from streambed.gates import quotas
from streambed.gates.reading import failed_reasons
from streambed.inventory import Node
from streambed.results import resources
from streambed.results.resources import Limits, NodeUse

EPOCH = 1_760_000_000.0
GIB = 1 << 30
WORKER = Node(
    name="worker1",
    address="10.83.3.21",
    bed_address="10.83.3.21",
    groups=frozenset({"spark_workers"}),
    cpus=0.25,
    memory_bytes=2 * GIB,
    user="root",
    port=22,
    key_file=None,
    known_hosts=None,
    proxy_jump=None,
    variables=MappingProxyType({}),
)
LIMITS = Limits(
    cpus=0.25,
    memory_bytes=2 * GIB,
    mtu_bytes=1500,
    cpus_in_force=0.25,
    memory_bytes_in_force=2 * GIB,
)


def use(cores: float | None, limits: Limits = LIMITS) -> NodeUse:
    """A node whose control group accounts for so many cores, read a little after each second."""
    account: dict[str, Any] = {}
    events = []
    for k in range(21):
        if cores is not None:
            account = {"account_at_s": EPOCH + k + 0.05, "account_cpu_s": (k + 0.05) * cores}
        event = {"at": EPOCH + k, "cpu_s": {"other": 0.0}, "memory_bytes": {"other": 1}}
        events.append({**event, **account})
    return NodeUse.of_events(events, limits)


def judged(one: NodeUse, node: Node = WORKER) -> list[str]:
    readings = quotas.judge({"worker1": one}, [node], EPOCH + 4, EPOCH + 12)
    return [reason.split(":")[0] for reason in failed_reasons(readings)]


@pytest.mark.parametrize(
    ("cores", "failed"),
    [
        (0.1, []),
        (0.25, []),
        (0.254, []),
        (0.26, ["cpu_within_quota"]),
        (None, ["cpu_within_quota"]),
    ],
)
def test_a_node_keeps_to_its_quota_or_fails_the_cell(
    cores: float | None, failed: list[str]
) -> None:
    assert judged(use(cores)) == failed


@pytest.mark.parametrize(
    "change", [{"cpus_in_force": None}, {"cpus_in_force": 0.5}, {"memory_bytes_in_force": GIB}]
)
def test_a_quota_that_is_not_in_force_fails(change: dict[str, Any]) -> None:
    assert judged(use(0.1, dataclasses.replace(LIMITS, **change))) == ["quotas_in_force"]


def test_a_node_that_was_not_sampled_fails() -> None:
    assert failed_reasons(quotas.judge({}, [WORKER], EPOCH + 4, EPOCH + 12))


def test_machines_without_quotas_are_not_asked() -> None:
    whole = dataclasses.replace(WORKER, cpus=None)
    assert quotas.judge({}, [whole], EPOCH, EPOCH + 1) == []
    assert quotas.within({}, [whole], 8.0) == []


def test_a_short_window_may_hold_one_slice_of_a_quota_more() -> None:
    slice_more = {"worker1": 1 + 0.1 / 4}
    assert not failed_reasons(quotas.within(slice_more, [WORKER], 4.0))
    assert failed_reasons(quotas.within(slice_more, [WORKER], 8.0))
    assert failed_reasons(quotas.within({}, [WORKER], 4.0))


def test_the_account_and_the_limits_in_force_come_back_from_the_table(tmp_path: Path) -> None:
    resources.write(tmp_path / resources.FILE, {"worker1": use(0.2)})
    back = resources.read(tmp_path / resources.FILE)["worker1"]
    assert back.limits == LIMITS
    assert back.accounted_cpu_s(EPOCH + 4, EPOCH + 14) == pytest.approx(2.0)
