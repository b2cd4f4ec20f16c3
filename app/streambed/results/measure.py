"""Figures from samples: pure functions, each with the definition it follows."""

from dataclasses import dataclass

import numpy as np

from streambed.results.measures import StreamingMeasures
from streambed.results.samples import Appends, Batches, Sending
from streambed.results.window import Window, find_window


def image_rate_per_s(appends: Appends, window: Window) -> float:
    """Results appended in [start, end) over its length (design.md)."""
    inside = (appends.at_s >= window.start_s) & (appends.at_s < window.end_s)
    return float(appends.images[inside].sum()) / window.span_s


def makespan_image_rate_per_s(appends: Appends, sending: Sending) -> float | None:
    """All classified images over first send to last result; None without a result."""
    if not appends.at_s.size:
        return None
    span_s = float(appends.at_s.max()) - sending.first_send_at
    return float(appends.images.sum()) / span_s if span_s > 0 else None


def link_utilisation(
    rate_per_s: float, payload_bytes: int, goodput_up_mbit_per_s: float | None
) -> float | None:
    """Payload bits that came out per bit that TCP could have carried; None when unshaped."""
    if goodput_up_mbit_per_s is None:
        return None
    return rate_per_s * payload_bytes * 8 / (goodput_up_mbit_per_s * 1e6)


@dataclass(frozen=True)
class MicroBatchTimes:
    """Processing time of the micro-batches in a window, seconds; None when none started there."""

    mean_s: float | None
    p95_s: float | None
    max_s: float | None


def micro_batch_times(batches: Batches, window: Window) -> MicroBatchTimes:
    """Over the batches with images that started in [start, end); queueing excluded."""
    started = batches.started_at_s
    inside = (batches.rows > 0) & (started >= window.start_s) & (started < window.end_s)
    times = batches.execution_s[inside]
    if not times.size:
        return MicroBatchTimes(None, None, None)
    return MicroBatchTimes(float(times.mean()), float(np.percentile(times, 95)), float(times.max()))


def busy_image_rate_per_s(batches: Batches, window: Window) -> float | None:
    """Images over processing time, of the batches that started in [start, end).

    What the classifier does while it works. A batch's fixed costs are in it, so small batches
    show less than a saturated classifier would do.
    """
    started = batches.started_at_s
    inside = (batches.rows > 0) & (started >= window.start_s) & (started < window.end_s)
    busy_s = float(batches.execution_s[inside].sum())
    return float(batches.rows[inside].sum()) / busy_s if busy_s > 0 else None


def queue_max_s(batches: Batches, window: Window) -> float | None:
    """Longest wait of a batch that started in [start, end); None where batches do not queue."""
    if batches.queued_s is None:
        return None
    started = batches.started_at_s
    inside = (started >= window.start_s) & (started < window.end_s)
    return float(batches.queued_s[inside].max()) if inside.any() else None


def streaming_measures(
    appends: Appends,
    batches: Batches,
    sending: Sending,
    *,
    trigger_s: float,
    warm_up_triggers: int,
    payload_bytes: int,
    goodput_up_mbit_per_s: float | None,
) -> tuple[StreamingMeasures, Window]:
    """Every figure that follows from the samples alone; the caller adds what it counted itself.

    Raises:
        TooShort: the cell fails with that reason.
    """
    window = find_window(batches, sending, trigger_s=trigger_s, warm_up_triggers=warm_up_triggers)
    rate = image_rate_per_s(appends, window)
    times = micro_batch_times(batches, window)
    measures = StreamingMeasures(
        image_rate_per_s=rate,
        makespan_image_rate_per_s=makespan_image_rate_per_s(appends, sending),
        goodput_up_mbit_per_s=goodput_up_mbit_per_s,
        link_utilisation=link_utilisation(rate, payload_bytes, goodput_up_mbit_per_s),
        micro_batch_mean_s=times.mean_s,
        micro_batch_p95_s=times.p95_s,
        micro_batch_max_s=times.max_s,
        busy_image_rate_per_s=busy_image_rate_per_s(batches, window),
        queue_max_s=queue_max_s(batches, window),
        window_s=window.span_s,
        window_triggers=window.triggers,
        warm_up_s=window.start_s - sending.first_send_at,
        send_rate_per_s=sending.rate_per_s,
    )
    return measures, window
