"""Gate 6 for the trigger: the micro-batches started when the trigger says, and not otherwise."""

import itertools
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from streambed.gates.reading import Reading

# A batch that overruns starts its successor at once: only starts after a batch that ended in
# time tell whether the trigger acts.
_TOLERANCE = 0.25


def of_sending(
    batches: Sequence[Mapping[str, Any]], first_send_at: float, last_send_at: float
) -> list[Mapping[str, Any]]:
    """The `batch` events that the trigger made while images were sent, in the order they ran.

    And the one after them, when it has images: they waited, so it was the trigger that began it.
    """
    since = [batch for batch in batches if _made_at(batch) >= first_send_at]
    made = sum(1 for batch in since if _made_at(batch) <= last_send_at)
    successor = [batch for batch in since[made : made + 1] if batch["rows"]]
    return since[:made] + successor


def _made_at(batch: Mapping[str, Any]) -> float:
    """When it was decided what a batch holds, unix seconds: one that queues starts later."""
    at: float = batch.get("cut_at", batch["started_at"])
    return at


def judge(batches: Sequence[Mapping[str, Any]], trigger_s: float) -> Reading:
    """Judge the `batch` events of a cell, in the order they ran; times in seconds."""
    if batches and all("cut_at" in batch for batch in batches):
        return cuts(
            [batch["cut_at"] for batch in batches],
            [batch["started_at"] for batch in batches],
            [batch["execution_s"] for batch in batches],
            trigger_s,
        )
    return acts(
        [batch["started_at"] for batch in batches],
        [batch["execution_s"] for batch in batches],
        trigger_s,
    )


def cuts(
    cuts_s: Sequence[float],
    starts_s: Sequence[float],
    executions_s: Sequence[float],
    trigger_s: float,
) -> Reading:
    """Judge batches that hold what arrived in one interval, and queue.

    Args:
        cuts_s: when the offsets of each were read, unix seconds, ascending.
        starts_s: when each started; one that starts before its predecessor's end is out of order.
        executions_s: how long each took.
        trigger_s: what the cell asked for.
    """
    expected = f"{trigger_s:g} between cuts, within {_TOLERANCE:.0%}, and one batch at a time"
    intervals = [later - cut for cut, later in itertools.pairwise(cuts_s)]
    overlaps = sum(
        later < start + execution
        for start, execution, later in zip(starts_s, executions_s, starts_s[1:], strict=False)
    )
    if not intervals or overlaps:
        return Reading(
            gate="trigger_acts",
            ok=False,
            measured=f"{len(cuts_s)} micro-batches, {overlaps} of them too early",
            expected=expected,
        )
    return _on_time(intervals, trigger_s, expected)


def acts(starts_s: Sequence[float], executions_s: Sequence[float], trigger_s: float) -> Reading:
    """Judge the intervals between starts of micro-batches that had time to spare.

    Args:
        starts_s: start times, unix seconds, ascending, of all micro-batches (empty ones too).
        executions_s: how long each took.
        trigger_s: what the cell asked for.
    """
    intervals = [
        later - start
        for start, execution, later in zip(starts_s, executions_s, starts_s[1:], strict=False)
        if execution < trigger_s
    ]
    expected = f"{trigger_s:g} between starts, within {_TOLERANCE:.0%}"
    if not intervals and len(starts_s) > 1:
        pauses = [
            later - (start + execution)
            for start, execution, later in zip(starts_s, executions_s, starts_s[1:], strict=False)
        ]
        pause = statistics.median(pauses)
        return Reading(
            gate="trigger_acts",
            ok=pause <= _TOLERANCE * trigger_s,
            measured=round(pause, 3),
            expected="next to no pause after micro-batches that all overran",
            unit="s",
        )
    if not intervals:
        return Reading(
            gate="trigger_acts",
            ok=False,
            measured=f"{len(starts_s)} micro-batches",
            expected=expected,
        )
    return _on_time(intervals, trigger_s, expected)


def _on_time(intervals: Sequence[float], trigger_s: float, expected: str) -> Reading:
    """The median interval, seconds, against the trigger."""
    median = statistics.median(intervals)
    return Reading(
        gate="trigger_acts",
        ok=abs(median / trigger_s - 1) <= _TOLERANCE,
        measured=round(median, 3),
        expected=expected,
        unit="s",
    )
