"""From what a streaming cell observed to the row that is kept."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from streambed.gates.reading import Reading
from streambed.results import bottleneck, resources
from streambed.results.measure import streaming_measures
from streambed.results.measures import StreamingMeasures
from streambed.results.samples import Appends, Batches, Sending
from streambed.results.window import TooShort, Window
from streambed.runner.observed import Observed


def appends_of(raw: Path, images: int) -> Appends:
    """Append time and number of first results of each record, warm-up images left out.

    Args:
        raw: the collector's npz (see `pipelines/collect.py`).
        images: ids below this count.
    """
    with np.load(raw) as arrays:
        ids = arrays["image_id"]
        record = arrays["image_record"]
        append_ms = arrays["record_append_ms"]
    counted = np.flatnonzero(ids < images)
    # Of several results of one id the first appended counts.
    by_time = counted[np.argsort(append_ms[record[counted]], kind="stable")]
    _, first = np.unique(ids[by_time], return_index=True)
    per_record = np.bincount(record[by_time[first]], minlength=len(append_ms))
    filled = per_record > 0
    return Appends(at_s=append_ms[filled] / 1000, images=per_record[filled].astype(np.int64))


def partial_measures(seen: Observed) -> StreamingMeasures:
    """What is known of a cell that failed on the way."""
    collected = seen.collected
    cold = None
    if seen.submitted_at is not None and seen.first_result_at is not None:
        cold = seen.first_result_at - seen.submitted_at
    return StreamingMeasures(
        goodput_up_mbit_per_s=seen.goodput.up_mbit_per_s if seen.goodput else None,
        goodput_down_mbit_per_s=seen.goodput.down_mbit_per_s if seen.goodput else None,
        lost=collected.get("lost"),
        duplicates=collected.get("duplicates"),
        mismatches=collected.get("mismatches"),
        accuracy=collected.get("accuracy"),
        cold_start_s=cold,
        steal=seen.taken.steal if seen.taken else None,
        cpu_foreign=seen.taken.foreign if seen.taken else None,
        cpu_pressure=seen.taken.pressure if seen.taken else None,
    )


def sending_of(produced: dict[str, Any]) -> Sending:
    """The producer's `done` event as arithmetic takes it."""
    return Sending(
        first_send_at=produced["first_send_at"],
        last_send_at=produced["last_send_at"],
        last_ack_at=produced["last_ack_at"],
        images=produced["acked"],
    )


def measures(
    seen: Observed, raw: Path, unshaped_rate_per_s: float, producer: str
) -> tuple[StreamingMeasures, list[Reading]]:
    """Every figure of a cell that ran to its end; a window that is too short is a failed gate.

    Args:
        seen: what the cell gave.
        raw: the collector's npz; the nodes' resources lie beside it.
        unshaped_rate_per_s: what the producer manages with nothing in the way, images/s.
        producer: name of the node it ran on, whose link the goodput is of.
    """
    cell = seen.cell
    known = partial_measures(seen)
    sending = sending_of(seen.produced)
    used: dict[str, Any] = {}
    try:
        found, window = streaming_measures(
            appends_of(raw, cell.images),
            Batches.of_events(b for b in seen.batches if b["started_at"] >= sending.first_send_at),
            sending,
            trigger_s=cell.streaming.trigger_s,
            warm_up_triggers=cell.warm_up.triggers,
            payload_bytes=cell.payload_bytes,
            goodput_up_mbit_per_s=known.goodput_up_mbit_per_s,
        )
    except TooShort as error:
        found = StreamingMeasures()
        readings = [Reading("window", ok=False, measured=error.message, expected="8 triggers")]
    else:
        readings = []
        used = _use(seen, raw, producer, window)
    busy = sending.last_send_at - sending.first_send_at
    more: dict[str, Any] = {
        **{name: value for name, value in known.as_fields().items() if value is not None},
        "send_rate_per_s": sending.rate_per_s,
        "producer_cpu_share": seen.produced["cpu_s"] / busy if busy > 0 else None,
        "producer_unshaped_rate_per_s": unshaped_rate_per_s,
        **used,
    }
    return replace(found, **more), readings


def _use(seen: Observed, raw: Path, producer: str, window: Window) -> dict[str, Any]:
    goodputs = {}
    if seen.goodput is not None:
        goodputs[producer] = (seen.goodput.up_mbit_per_s, seen.goodput.down_mbit_per_s)
    nodes = resources.read(raw.with_name(resources.FILE))
    ranked = bottleneck.utilisations(nodes, window.start_s, window.end_s, goodputs)
    return bottleneck.measures(ranked)
