"""How far the clocks of two nodes may be apart: what a latency between them is worth.

A node says its time between a question and its answer, so that half the round trip bounds the error
of its offset, however unequal the two ways are. Where chrony vouches for both clocks, the sum of its
bounds may be the better answer. Nodes of one kernel (containers of one machine) have one clock.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class NodeClock:
    """A node's clock, seconds: `offset_s` ahead of the controller's, give or take `bound_s`."""

    boot_id: str
    """Of the running kernel; nodes that share it share the clock."""
    offset_s: float = 0.0
    bound_s: float = 0.0
    chrony_bound_s: float | None = None
    """How far it is off true time at most, as its NTP client says."""


@dataclass(frozen=True)
class Apart:
    """Two clocks, seconds: `offset_s` as measured, and the most by which they may differ."""

    offset_s: float = 0.0
    uncertainty_s: float = 0.0


def apart(one: NodeClock, other: NodeClock) -> Apart:
    """How far `other` is ahead of `one`."""
    if one.boot_id == other.boot_id:
        return Apart()
    offset_s = other.offset_s - one.offset_s
    uncertainty_s = abs(offset_s) + one.bound_s + other.bound_s
    if one.chrony_bound_s is not None and other.chrony_bound_s is not None:
        uncertainty_s = min(uncertainty_s, one.chrony_bound_s + other.chrony_bound_s)
    return Apart(offset_s, uncertainty_s)


def ahead(readings: Iterable[dict[str, NodeClock]], one: str, others: Iterable[str]) -> Apart:
    """How far ahead of `one` the clocks of `others` are, for a time that is to be corrected by it.

    `offset_s` is the middle of what was measured, `uncertainty_s` what a time that it is taken from
    may still be off, whichever of the others has said it.
    """
    named = list(others)
    bounds = [_bounds(clocks[one], clocks[other]) for clocks in readings for other in named]
    low, high = min((b[0] for b in bounds), default=0.0), max((b[1] for b in bounds), default=0.0)
    return Apart((low + high) / 2, (high - low) / 2)


def _bounds(one: NodeClock, other: NodeClock) -> tuple[float, float]:
    """Least and most, in seconds, by which `other` can be ahead of `one`."""
    if one.boot_id == other.boot_id:
        return 0.0, 0.0
    offset_s, bound_s = other.offset_s - one.offset_s, one.bound_s + other.bound_s
    low, high = offset_s - bound_s, offset_s + bound_s
    if one.chrony_bound_s is None or other.chrony_bound_s is None:
        return low, high
    most = one.chrony_bound_s + other.chrony_bound_s
    if low > most or high < -most:
        return low, high  # measured is measured, whatever the NTP clients say
    return max(low, -most), min(high, most)


def widest(
    readings: Iterable[dict[str, NodeClock]], ones: Iterable[str], others: Iterable[str]
) -> Apart:
    """The pair that may be furthest apart, over all readings.

    Args:
        readings: clocks by node, from before and after what was timed.
        ones: nodes that time something first.
        others: nodes that time it later.
    """
    firsts, lasts = list(ones), list(others)
    pairs = [
        apart(clocks[one], clocks[other]) for clocks in readings for one in firsts for other in lasts
    ]
    return max(pairs, key=lambda pair: pair.uncertainty_s, default=Apart())
