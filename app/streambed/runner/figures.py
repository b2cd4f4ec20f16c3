"""From what a streaming cell observed to the row that is kept."""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from streambed.experiment.placement import Placement
from streambed.gates import endurance, quotas, representative, timeliness
from streambed.gates.reading import Reading
from streambed.results import (
    bottleneck,
    clocks,
    first_results,
    heaps,
    histogram,
    lag,
    latency,
    resources,
    soak,
)
from streambed.results.files import write_text
from streambed.results.measure import streaming_measures
from streambed.results.measures import StreamingMeasures
from streambed.results.samples import Batches, Sending
from streambed.results.window import TooShort, Window
from streambed.runner.observed import Observed


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
        set_aside=sum(collected["set_aside"].values()) if collected else None,
        accuracy=collected.get("accuracy"),
        cold_start_s=cold,
        sustainable_rate_per_s=seen.found.rate_per_s if seen.found else None,
        search_steps=seen.found.steps if seen.found else None,
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
    seen: Observed, raw: Path, unshaped_rate_per_s: float, placement: Placement
) -> tuple[StreamingMeasures, list[Reading]]:
    """Every figure of a cell that ran to its end; a window that is too short is a failed gate.

    Args:
        seen: what the cell observed.
        raw: the attempt's directory; in open mode it gets the latency histogram.
        unshaped_rate_per_s: what the producer manages with nothing in the way, images/s.
        placement: which nodes did what; the goodput is of the producer's link.
    """
    cell = seen.cell
    known = partial_measures(seen)
    sending = sending_of(seen.produced)
    results = first_results.load(raw / "results.npz", seen.images)
    batches = Batches.of_events(b for b in seen.batches if b["started_at"] >= sending.first_send_at)
    readings = []
    used: dict[str, Any] = {}
    try:
        found, window = streaming_measures(
            results.appends(),
            batches,
            sending,
            trigger_s=cell.streaming.trigger_s,
            warm_up_triggers=cell.warm_up.triggers,
            payload_bytes=cell.payload_bytes,
            goodput_up_mbit_per_s=known.goodput_up_mbit_per_s,
        )
    except TooShort as error:
        found = StreamingMeasures()
        readings.append(Reading("window", ok=False, measured=error.message, expected="8 triggers"))
    else:
        readings += representative.judge(
            cell.streaming, cell.payload_bytes, found, window, unshaped_rate_per_s
        )
        used, quota_readings = _use(seen, raw, placement, window)
        readings += quota_readings
        if seen.rate_per_s is not None:
            apart = clocks_apart(seen, placement)
            timely, more_readings = open_mode(
                results, batches, window, sending, seen.rate_per_s, raw, apart
            )
            found = replace(found, **timely)
            readings += more_readings
    busy = sending.last_send_at - sending.first_send_at
    more: dict[str, Any] = {
        **{name: value for name, value in known.as_fields().items() if value is not None},
        "send_rate_per_s": sending.rate_per_s,
        "producer_cpu_share": seen.produced["cpu_s"] / busy if busy > 0 else None,
        "producer_unshaped_rate_per_s": unshaped_rate_per_s,
        "images_sent": seen.produced["sent"],
        **used,
    }
    return replace(found, **more), readings


def _use(
    seen: Observed, raw: Path, placement: Placement, window: Window
) -> tuple[dict[str, Any], list[Reading]]:
    """What the nodes used in the window, and whether they kept to their quotas."""
    goodputs = {}
    if seen.goodput is not None:
        goodputs[placement.producer.name] = (
            seen.goodput.up_mbit_per_s,
            seen.goodput.down_mbit_per_s,
        )
    nodes = resources.read(raw / resources.FILE)
    start_s, end_s = window.start_s, window.end_s
    if not window.drained:
        # The work of a saturated cell, and with it the sampling, ends within the last trigger.
        newest = min((float(use.at_s[-1]) for use in nodes.values() if use.at_s.size), default=0)
        end_s = max(min(end_s, newest), end_s - seen.cell.streaming.trigger_s)
    ranked = bottleneck.utilisations(nodes, start_s, end_s, goodputs)
    fields: dict[str, Any] = bottleneck.measures(ranked)
    for role, members in placement.parts().items():
        chosen = [nodes[node.name] for node in members]
        fields[f"{role}_cpu_share"] = bottleneck.cpu_share(chosen, start_s, end_s)
    readings = quotas.judge(nodes, placement.nodes, start_s, end_s)
    if end_s - start_s >= soak.LEAST_S:
        slopes = soak.slopes(nodes, heaps.read(raw / heaps.FILE), start_s, end_s)
        write_text(raw / "growth.json", json.dumps([asdict(s) for s in slopes], indent=1) + "\n")
        fields |= soak.measures(slopes)
        readings.append(endurance.nothing_grows(slopes))
    return fields, readings


def clocks_apart(seen: Observed, placement: Placement) -> dict[str, clocks.Apart]:
    """Latency, or part of it → how far the clocks that it compares are apart."""
    producer = [placement.producer.name]
    brokers = [node.name for node in placement.brokers]
    workers = [node.name for node in placement.workers]
    return {
        "total": clocks.widest(seen.clocks, producer, brokers),
        "batch_wait": clocks.widest(seen.clocks, producer, workers),
        "sink": clocks.widest(seen.clocks, workers, brokers),
    }


def open_mode(
    results: first_results.FirstResults,
    batches: Batches,
    window: Window,
    sending: Sending,
    rate_per_s: float,
    raw: Path,
    apart: Mapping[str, clocks.Apart],
) -> tuple[dict[str, Any], list[Reading]]:
    """Latency and lag at a constant rate (images/s), and whether they mean something.

    A part whose median is within what clocks may be apart is left out.
    """
    totals = latency.totals(results, window)
    parts = latency.parts(results, latency.Acknowledged.load(raw / "acks.npz"), window)
    histogram.save(histogram.of(totals), raw)
    fields: dict[str, Any] = {"latency_sample_images": len(parts)}
    total = latency.Percentiles.of(totals)
    if total is not None:
        fields |= {f"latency_{name}": value for name, value in asdict(total).items()}
    apart_s = {name: pair.uncertainty_s for name, pair in apart.items()}
    fields |= {
        "clock_offset_s": apart["total"].offset_s,
        "clock_uncertainty_s": apart["total"].uncertainty_s,
    }
    for name, times_s in parts.by_name().items():
        part = latency.Percentiles.of(times_s)
        if part is not None and apart_s.get(name, 0.0) <= max(0.0, part.p50_s):
            fields |= {f"latency_{name}_p50_s": part.p50_s, f"latency_{name}_p99_s": part.p99_s}
    lags = lag.lag_at_starts(batches, sending.first_send_at, rate_per_s)
    inside = (batches.started_at_s >= window.start_s) & (batches.started_at_s < window.end_s)
    growth = lag.growth(batches.started_at_s[inside], lags[inside])
    fields["lag_slope_per_s"] = None if growth is None else growth.slope_per_s
    return fields, [
        timeliness.clocks_agree(parts, apart_s),
        timeliness.clocks_close(apart_s["total"], None if total is None else total.p50_s),
        timeliness.lag_settled(
            growth,
            rate_per_s,
            rate_per_s / window.triggers if window.span_s >= soak.LEAST_S else None,
        ),
    ]
