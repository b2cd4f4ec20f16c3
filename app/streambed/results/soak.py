"""What grew while a cell ran for long: memory, threads and open files of every group of processes.

Slopes are taken over the second half of the window. Until then JVMs fill their heaps; from then on
they collect each minute, and what is alive after that has a slope of its own.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from streambed.results import heaps, lag
from streambed.results.resources import LEVELS, NodeUse
from streambed.results.samples import Floats

LEAST_S = 600.0
"""A window that is shorter says nothing about growth."""

TOLERATED_PER_H = {"memory_bytes": 0.05, "live_heap_bytes": 0.05, "threads": 0.05, "fds": 0.05}
"""Growth, as a part of the mean, that is noise of what comes and goes."""

TOLERATED_OF_FEW = {
    "memory_bytes": 8 * 2**20,
    "live_heap_bytes": 8 * 2**20,
    "threads": 2.0,
    "fds": 4.0,
}
"""In an hour, of a group that has so little that a part of it says nothing."""

TOLERATED_ONCE = {"live_heap_bytes": 16 * 2**20}
"""In all, however long: what is taken once and kept. Kafka's Raft keeps up to five buffers of 8 MiB."""

_S_PER_H = 3600.0


@dataclass(frozen=True)
class Slope:
    """Growth of one measure per hour, with its 95 % interval; of a whole bed without a group."""

    measure: str
    per_h: float
    low_per_h: float
    high_per_h: float
    mean: float
    over_h: float
    """How long it was looked at."""
    node: str | None = None
    group: str | None = None

    @property
    def grows(self) -> bool:
        """Whether even the low end of the interval is more than what is tolerated."""
        return self.low_per_h > max(
            TOLERATED_PER_H[self.measure] * self.mean,
            TOLERATED_OF_FEW[self.measure],
            TOLERATED_ONCE.get(self.measure, 0.0) / self.over_h,
        )


def slopes(
    nodes: Mapping[str, NodeUse], alive: heaps.Series, start_s: float, end_s: float
) -> list[Slope]:
    """Of each group of each node, and first of each measure of the whole bed.

    Args:
        nodes: samples, by node.
        alive: in the heaps of JVMs.
        start_s: the window, unix seconds.
        end_s: its end.
    """
    middle_s = (start_s + end_s) / 2
    over_h = (end_s - middle_s) / _S_PER_H
    parts: dict[str, list[Slope]] = {}
    for measure, node, group, at_s, values in _levels(nodes, alive):
        inside = (at_s >= middle_s) & (at_s <= end_s)
        grown = lag.growth(at_s[inside], values[inside])
        if grown is not None:
            mean = float(np.mean(values[inside]))
            parts.setdefault(measure, []).append(_slope(measure, grown, mean, over_h, node, group))
    totals = [_total(measure, of_groups) for measure, of_groups in parts.items()]
    return totals + [slope for of_groups in parts.values() for slope in of_groups]


def _levels(
    nodes: Mapping[str, NodeUse], alive: heaps.Series
) -> Iterator[tuple[str, str, str, Floats, Floats]]:
    """Measure, node, group, unix seconds and levels, of whatever is held to grow."""
    for measure in LEVELS:
        for node, use in nodes.items():
            for group, values in use.levels(measure).items():
                yield measure, node, group, use.at_s, values
    for (node, group), (at_s, values) in alive.items():
        yield "live_heap_bytes", node, group, at_s, values


def _slope(
    measure: str, grown: lag.Growth, mean: float, over_h: float, node: str, group: str
) -> Slope:
    per_s = (grown.slope_per_s, grown.low_per_s, grown.high_per_s)
    slope, low, high = (value * _S_PER_H for value in per_s)
    return Slope(measure, slope, low, high, mean, over_h, node, group)


def _total(measure: str, parts: list[Slope]) -> Slope:
    """Of the sum of all groups: slopes add up, and so do the squares of their errors."""
    slope = sum(part.per_h for part in parts)
    reach = float(np.sqrt(sum((part.high_per_h - part.per_h) ** 2 for part in parts)))
    mean = sum(part.mean for part in parts)
    return Slope(measure, slope, slope - reach, slope + reach, mean, parts[0].over_h)


def measures(found: list[Slope]) -> dict[str, float]:
    """The fields of a row: growth of the whole bed."""
    totals = {slope.measure: slope.per_h for slope in found if slope.node is None}
    fields = {}
    for measure, field, unit in (
        ("memory_bytes", "memory_growth_mib_per_h", 2**20),
        ("live_heap_bytes", "live_heap_growth_mib_per_h", 2**20),
        ("threads", "thread_growth_per_h", 1),
        ("fds", "fd_growth_per_h", 1),
    ):
        if measure in totals:
            fields[field] = totals[measure] / unit
    return fields
