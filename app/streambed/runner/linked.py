"""The link of a cell that ends at Kafka's consumers: shaped and measured around what runs on it."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace

from streambed.experiment.placement import KafkaPlacement
from streambed.gates import Reading, contention
from streambed.gates import goodput as goodputs
from streambed.gates.contention import CpuTimes
from streambed.gates.reading import failed_reasons
from streambed.inventory import Node
from streambed.runner import shaping
from streambed.runner.pipeline import Work

AT_QUOTA = 0.7
"""Part of its quota that an end used while the goodput was measured, from which it, and not the
link, may be what was measured. At the limit it is no more: starting iperf3 takes time, too."""


@dataclass
class Linked:
    """What was measured of the link."""

    goodput: goodputs.Goodput | None = None
    """Before the cell; None on a link that is not shaped."""
    readings: list[Reading] = field(default_factory=list)


@contextlib.asynccontextmanager
async def linked(
    work: Work, place: KafkaPlacement, bandwidth_mbit_per_s: float | None
) -> AsyncIterator[Linked]:
    """The link has its rate while the context is entered, and is measured before and after.

    Raises:
        CellFailure: it cannot be shaped or measured.
    """
    found = Linked()
    rate = None if bandwidth_mbit_per_s is None else bandwidth_mbit_per_s * 1e6
    try:
        await shaping.set_rate(work.fleet, rate)
        if rate is not None:
            found.goodput, readings = await _measured(work, place, rate, "before")
            client = work.fleet.on(place.producer)
            readings.append(await goodputs.management_is_unshaped(client))
            found.readings += readings
        yield found
        if rate is not None:
            found.readings += (await _measured(work, place, rate, "after"))[1]
    finally:
        await shaping.set_rate(work.fleet, None)


async def _measured(
    work: Work, place: KafkaPlacement, rate: float, when: str
) -> tuple[goodputs.Goodput, list[Reading]]:
    work.display.stage(f"measuring the link ({when})")
    sessions = work.fleet.all()
    client, far_end = work.fleet.on(place.producer), work.fleet.on(place.far_end)
    state = await shaping.show(client)
    async with contention.watching(sessions) as watched:
        measured = await goodputs.measure(
            client, far_end, rate, state["mtu_bytes"], work.cell.gates.goodput_s
        )
    tolerance = work.cell.gates.goodput_tolerance
    readings = goodputs.judge(measured, rate, state["mtu_bytes"], tolerance, when)
    if failed_reasons(readings):
        nodes = work.fleet.inventory.nodes
        shares = quota_shares(nodes, watched.before, watched.after, watched.elapsed_s)
        ends = {node.name: shares.get(node.name, 0.0) for node in (place.producer, place.far_end)}
        readings = explained(readings, ends)
        gate = f"cpu_taken_by_others_{when}"
        readings.append(contention.judge(watched.taken, work.cell.gates.contended_above, gate))
    return measured, readings


def quota_shares(
    nodes: Sequence[Node],
    before: Sequence[CpuTimes],
    after: Sequence[CpuTimes],
    elapsed_s: float,
) -> dict[str, float]:
    """Node → CPU time over its quota; nodes without a quota are left out."""
    return {
        node.name: (late.node_s - early.node_s) / elapsed_s / node.cpus
        for node, early, late in zip(nodes, before, after, strict=True)
        if node.cpus is not None and early.node_s is not None and late.node_s is not None
    }


def explained(readings: Sequence[Reading], ends: dict[str, float]) -> list[Reading]:
    """A goodput that misses because an end had no more CPU time flags the cell, and fails it not.

    The kernel's own rate was read back when it was set. A goodput above the tolerance stays a
    failure, whatever the ends did.

    Args:
        readings: of one measurement.
        ends: the two ends → share of their quota that they used.
    """
    name = max(ends, key=lambda end: ends[end])
    if ends[name] < AT_QUOTA:
        return list(readings)
    why = f" (while {name} used {ends[name]:.0%} of its CPU quota: it is the limit)"
    return [
        replace(reading, expected=reading.expected + why, flag="driver_bound")
        if not reading.ok and _is_below(reading)
        else reading
        for reading in readings
    ]


def _is_below(reading: Reading) -> bool:
    """Whether less was measured than expected, of `N within T`."""
    return float(reading.measured or 0.0) < float(reading.expected.split(" ", maxsplit=1)[0])
