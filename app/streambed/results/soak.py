"""What grew while a cell ran for long: memory, threads and open files of every group of processes.

Growth is looked for in the second half of the window. Until then JVMs fill their heaps; from then on
they collect each minute, and what is alive after that has a slope of its own. Slopes are Sen's (the
median of those between all pairs of minutes, with its interval from Kendall's statistic): memory is
a staircase, and a least-squares line makes of a single step of 3 MiB a growth of 20 MiB an hour that
it is quite sure of.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from streambed.results import heaps, lag
from streambed.results.resources import LEVELS, NodeUse
from streambed.results.samples import Floats, binned_means

LEAST_S = 600.0
"""A window that is shorter says nothing about growth."""

TOLERATED_PER_H = 0.05
"""Growth, as a part of the mean, that is noise of what comes and goes."""

TOLERATED_OF_FEW = {
    "memory_bytes": 8 * 2**20,
    "live_heap_bytes": 8 * 2**20,
    "threads": 2.0,
    "fds": 4.0,
}
"""In an hour, of a group that has so little that a part of it says nothing."""

TOLERATED_ONCE = {
    "memory_bytes": 16 * 2**20,
    "live_heap_bytes": 16 * 2**20,
    "threads": 4.0,
    "fds": 8.0,
}
"""In all: what is taken once and kept. Kafka's Raft keeps up to five buffers of 8 MiB."""

_MINUTE_S = 60.0
_S_PER_H = 3600.0

Levels = Mapping[int, float]
"""Minute of the half that is judged → mean."""


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
    rise: float
    """Median of the last third of that time less that of the first."""
    node: str | None = None
    group: str | None = None

    @property
    def grows(self) -> bool:
        """Whether it goes on growing by more than what is tolerated, or took too much at once.

        It goes on when even the low end of the interval is more.
        """
        once = TOLERATED_ONCE[self.measure]
        per_h = max(TOLERATED_PER_H * self.mean, TOLERATED_OF_FEW[self.measure])
        if self.measure == "live_heap_bytes":
            # It swings from collection to collection: a step cannot be told from a slope.
            per_h = max(per_h, once / self.over_h)
        in_all = max(per_h * self.over_h, once)
        return self.low_per_h > per_h or self.rise > in_all


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
    by_group: dict[str, dict[tuple[str, str], Levels]] = defaultdict(dict)
    for measure, node, group, at_s, values in _levels(nodes, alive):
        inside = (at_s >= middle_s) & (at_s <= end_s)
        by_group[measure][node, group] = _by_minute(at_s[inside] - middle_s, values[inside])
    found = [
        _slope(measure, _together(list(groups.values())), over_h)
        for measure, groups in by_group.items()
    ]
    found += [
        _slope(measure, levels, over_h, *who)
        for measure, groups in by_group.items()
        for who, levels in groups.items()
    ]
    return [slope for slope in found if slope is not None]


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


def _by_minute(after_s: Floats, values: Floats) -> Levels:
    minutes, means = binned_means(after_s, values, _MINUTE_S)
    return dict(zip(minutes.tolist(), means.tolist(), strict=True))


def _together(groups: list[Levels]) -> Levels:
    """The sum of all groups, for the minutes that each of them has."""
    shared = set.intersection(*(set(levels) for levels in groups))
    return {minute: sum(levels[minute] for levels in groups) for minute in sorted(shared)}


def _slope(
    measure: str, levels: Levels, over_h: float, node: str | None = None, group: str | None = None
) -> Slope | None:
    """None of fewer than three minutes."""
    if len(levels) < 3:
        return None
    held = np.array(list(levels.values()))
    hours = np.array(list(levels), np.float64) * _MINUTE_S / _S_PER_H
    line = stats.theilslopes(held, hours, alpha=lag.CONFIDENCE)
    third = len(held) // 3
    return Slope(
        measure,
        per_h=float(line.slope),
        low_per_h=float(line.low_slope),
        high_per_h=float(line.high_slope),
        mean=float(np.mean(held)),
        over_h=over_h,
        rise=float(np.median(held[-third:]) - np.median(held[:third])),
        node=node,
        group=group,
    )


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
