"""The measured window of a streaming cell: whole triggers after warm-up, while images arrive.

Boundaries are the times at which triggers are due: origin + k x trigger. Spark fires at whole
multiples of the trigger since the epoch (ProcessingTimeExecutor.nextBatchTime), so origin is 0.
In real time a batch starts on a boundary and ends before the next, hence a window between two
boundaries holds whole batches. A batch now and then takes longer than the trigger, and its results
come in one lump as it ends: a boundary that it straddles bounds no window, or up to a whole batch
would count too many or too few.

Batches that queue hold what arrived in one interval each, and their results come in lumps as they
end. A system that never catches up is saturated, and its window then tells its capacity: it is
bounded by the first boundaries after the end of a batch, so that it holds whole batches. It ends
with the last batch that started while the producer was sending; where that leaves fewer than 8
triggers, with the last full one.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streambed.errors import StreambedError
from streambed.experiment.length import MEASURED_TRIGGERS
from streambed.results.samples import Batches, Sending

DRAIN_TOLERANCE = 0.20
"""A batch has no backlog when it is at most this much larger than what arrives in a trigger.

Offsets are read up to 0.1 s after a 1 s trigger is due, so that batches of a system that keeps
up differ by some 10 %."""

DRAIN_SLACK_IMAGES = 2
"""The same for a trickle of images, where a fifth of a batch is less than one image."""

ON_TIME = 0.1
"""A batch starts on time when it is at most this part of the trigger behind a boundary; one that
starts later waited for its predecessor, whose results then fall into the next trigger."""

CLOCK_ROUNDING_S = 0.005

SHRINKING = 0.9
"""A backlog whose last batch is below this part of the largest was still being worked off; for
batches that queue, so was one whose last wait is, and by more than a trigger. At the end of a cell,
a batch below this part of its predecessor is not full."""


STEADY_BATCHES, STEADY, KEEPS_UP = 3, 1.3, 0.95
"""Batches back to back keep up when the median of the first and the last third of them, each of so
many at least, differ by less than this factor, and they take this part of what arrives."""


class TooShort(StreambedError):
    """The cell has fewer whole triggers than a result needs; it fails with this reason."""


@dataclass(frozen=True)
class Window:
    """`start_s` and `end_s` are trigger boundaries (unix seconds)."""

    start_s: float
    end_s: float
    triggers: int
    """Whole triggers between them."""
    drained: bool
    """False: the system never caught up with what arrived; the window shows its capacity."""

    @property
    def span_s(self) -> float:
        """Length in seconds."""
        return self.end_s - self.start_s


def _boundary_after(time_s: float, trigger_s: float, origin_s: float) -> int:
    """Number of the first boundary at or after a time."""
    return math.ceil((time_s - origin_s) / trigger_s - 1e-9)


def _boundary_before(time_s: float, trigger_s: float, origin_s: float) -> int:
    """Number of the last boundary at or before a time."""
    return math.floor((time_s - origin_s) / trigger_s + 1e-9)


def drained_at(
    batches: Batches, arriving_per_trigger: float, trigger_s: float, origin_s: float = 0.0
) -> float | None:
    """When the backlog was first gone: start of the first of two batches in a row without one.

    Without a backlog a batch starts on time and, unless it was cut at its tick, holds no more than
    what arrives in a trigger.
    Two, because the first batch of all holds the few images that were there when it started,
    while a backlog gathers behind it.

    Args:
        batches: any order of sizes; empty ones are left out.
        arriving_per_trigger: images that arrive in one trigger, on average.
        trigger_s: the interval of the boundaries.
        origin_s: time of one boundary.

    Returns:
        unix seconds, or None when it never was.
    """
    filled = batches.filled()
    if filled.queued_s is not None:
        return _first_pair(filled, filled.queued_s <= ON_TIME * trigger_s)
    limit = max(
        arriving_per_trigger * (1 + DRAIN_TOLERANCE), arriving_per_trigger + DRAIN_SLACK_IMAGES
    )
    late_s = (filled.started_at_s - origin_s) % trigger_s
    # A clock that rounds to milliseconds may show a start just before its boundary.
    on_time = (late_s <= ON_TIME * trigger_s) | (trigger_s - late_s < CLOCK_ROUNDING_S)
    return _first_pair(filled, (filled.rows <= limit) & on_time)


def _first_pair(batches: Batches, good: npt.NDArray[np.bool_]) -> float | None:
    pairs = np.flatnonzero(good[:-1] & good[1:])
    return float(batches.started_at_s[pairs[0]]) if pairs.size else None


def _refuse_shrinking(running: Batches, trigger_s: float) -> None:
    """Raises TooShort when the backlog was still being worked off as the producer ended."""
    if running.queued_s is None:
        largest, last = int(running.rows[1:].max(initial=0)), int(running.rows[-1])
        shrinking = last < SHRINKING * largest
        evidence = f"a batch of {last} images after one of {largest}"
    else:
        longest, newest = float(running.queued_s.max()), float(running.queued_s[-1])
        shrinking = newest < min(SHRINKING * longest, longest - trigger_s)
        evidence = f"a batch that waited {newest:.1f} s after one that waited {longest:.1f} s"
    if shrinking:
        raise TooShort(
            f"the backlog was still being worked off when the producer ended ({evidence}); "
            "give `warm_up.drain` more time"
        )


def _first_end(batches: Batches, warm_at: float) -> float:
    """End of the first batch that ends after the warm-up, unix seconds."""
    ended = batches.ended_at_s
    warm = ended[ended >= warm_at]
    return float(warm[0] if warm.size else ended[-1])


def _last_full_end(batches: Batches, sending: Sending) -> float:
    """End of the last full batch, unix seconds.

    A batch that started while the producer was sending is full, one after it when it is not much
    smaller than its predecessor.
    """
    last = batches.rows.size - 1
    while last > 0 and batches.started_at_s[last] > sending.last_send_at:
        if batches.rows[last] >= SHRINKING * batches.rows[last - 1]:
            break
        last -= 1
    return float(batches.ended_at_s[last])


def back_to_back_at(
    batches: Batches, arriving_per_s: float, trigger_s: float
) -> float | None:
    """When batches that outlast the trigger, but keep up with what arrives, began.

    Each starts as its predecessor ends, on no boundary, with what arrived meanwhile. That holds for
    a backlog that grows, too; so their size must not change from the first third to the last.

    Args:
        batches: in their order.
        arriving_per_s: images that arrive per second, on average.
        trigger_s: the trigger that they outlast.

    Returns:
        unix seconds, or None: they do not outlast it, grow, shrink, or fall behind.
    """
    rows, starts = batches.rows, batches.started_at_s
    if rows.size < 3 * STEADY_BATCHES or float(np.median(batches.execution_s)) <= trigger_s:
        return None
    first, _, last = (float(np.median(part)) for part in np.array_split(rows, 3))
    taken_per_s = float(rows[1:].sum()) / float(starts[-1] - starts[0])
    steady = max(first, last) <= STEADY * min(first, last)
    return float(starts[0]) if steady and taken_per_s >= KEEPS_UP * arriving_per_s else None


def _clean(boundaries: range, batches: Batches, trigger_s: float, origin_s: float) -> list[int]:
    """The boundaries at which no batch with images is running."""
    at = origin_s + np.array(boundaries, np.float64)[:, np.newaxis] * trigger_s
    running = (batches.started_at_s < at - CLOCK_ROUNDING_S) & (batches.ended_at_s > at)
    return [boundaries[int(index)] for index in np.flatnonzero(~np.any(running, axis=1))]


def find_window(
    batches: Batches,
    sending: Sending,
    *,
    trigger_s: float,
    warm_up_triggers: int,
    origin_s: float = 0.0,
) -> Window:
    """The window of a cell.

    It starts at the first clean boundary that has `warm_up_triggers` whole triggers since the first
    send before it and at which the backlog is drained; it ends at the last clean one while the
    producer was still sending. When the backlog never drains and does not shrink, the system is
    saturated: the window then goes from batch end to batch end, see above.

    Raises:
        TooShort: fewer than 8 whole triggers remain, or the backlog was still shrinking.
    """
    filled = batches.filled()
    running = filled.where(filled.started_at_s <= sending.last_send_at)
    if not running.rows.size:
        raise TooShort("no micro-batch had images while the producer was sending")

    start = _boundary_after(sending.first_send_at, trigger_s, origin_s) + warm_up_triggers
    end = _boundary_before(sending.last_send_at, trigger_s, origin_s)
    # What counts is the backlog when warm-up ends, not a quiet moment before a slow first batch.
    late = running.where(running.started_at_s >= origin_s + (start - 1) * trigger_s)
    settled_at = drained_at(late, sending.rate_per_s * trigger_s, trigger_s, origin_s)
    if settled_at is not None:
        start = max(start, _boundary_after(settled_at, trigger_s, origin_s))
        clean = _clean(range(start, end + 1), filled, trigger_s, origin_s)
        if clean and clean[-1] - clean[0] >= MEASURED_TRIGGERS:
            start, end = clean[0], clean[-1]
        elif end - start >= MEASURED_TRIGGERS:
            settled_at = None  # It caught up for a moment only.
    if settled_at is None and running.queued_s is None:
        settled_at = back_to_back_at(late, sending.rate_per_s, trigger_s)
    drained = settled_at is not None
    if settled_at is None:
        _refuse_shrinking(running, trigger_s)
        settled_at = _first_end(filled, origin_s + start * trigger_s)
        end = _boundary_after(float(running.ended_at_s[-1]), trigger_s, origin_s)
    start = max(start, _boundary_after(settled_at, trigger_s, origin_s))
    if not drained and end - start < MEASURED_TRIGGERS:
        end = _boundary_after(_last_full_end(filled, sending), trigger_s, origin_s)
    triggers = end - start
    if triggers < MEASURED_TRIGGERS:
        raise TooShort(
            f"too short: {max(triggers, 0)} whole triggers of {trigger_s:g} s after warm-up while "
            f"there were images to classify; a result needs {MEASURED_TRIGGERS}"
        )
    return Window(
        start_s=origin_s + start * trigger_s,
        end_s=origin_s + end * trigger_s,
        triggers=triggers,
        drained=drained,
    )
