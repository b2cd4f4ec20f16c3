"""Do a bed's quotas fit on this host: refused with the arithmetic, before anything exists."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from streambed.errors import StreambedError
from streambed.inventory import Node
from streambed.quantities import format_size

_Number = TypeVar("_Number", int, float)


@dataclass(frozen=True)
class Host:
    """What the host has to give: cores, and bytes of memory."""

    cores: int
    memory_bytes: int


def this_host() -> Host:
    """The cores this process may use, and the memory that is installed."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Host(cores=len(os.sched_getaffinity(0)), memory_bytes=memory)


def check(nodes: Sequence[Node], host: Host) -> None:
    """Refuse quotas that are missing or that add up to more than the host has.

    Raises:
        StreambedError: with every addend.
    """
    cpus = {node.name: _given(node, "cpus", node.cpus) for node in nodes}
    memory = {node.name: _given(node, "memory", node.memory_bytes) for node in nodes}
    # Quotas are decimal fractions written by people: 0.4 + 1.6 must be 2.
    total_cpus = round(sum(cpus.values()), 6)
    if total_cpus > host.cores:
        terms = " + ".join(f"{name} {value:g}" for name, value in cpus.items())
        raise StreambedError(
            f"the nodes ask for {terms} = {total_cpus:g} cpus, the host has {host.cores}",
            hint="lower `cpus` in the inventory, or use a smaller bed",
        )
    total_memory = sum(memory.values())
    if total_memory > host.memory_bytes:
        terms = " + ".join(f"{name} {format_size(value)}" for name, value in memory.items())
        raise StreambedError(
            f"the nodes ask for {terms} = {format_size(total_memory)} of memory, "
            f"the host has {format_size(host.memory_bytes)}",
            hint="lower `memory` in the inventory, or use a smaller bed",
        )


def _given(node: Node, key: str, value: _Number | None) -> _Number:
    if value is None or value <= 0:
        raise StreambedError(
            f"node {node.name}: a container needs a positive `{key}` in the inventory"
        )
    return value
