"""What a streaming cell observed, handed to the gates that ask whether its factors acted."""

from pathlib import Path

from streambed.experiment.placement import Placement
from streambed.gates import Reading, disturbance, effects
from streambed.results import first_results
from streambed.runner.observed import Observed
from streambed.runner.rate_search import Found

KEY_BYTES = 8
"""An image's id, the key of its record."""


def of_effects(seen: Observed, placement: Placement, model_tag: str) -> list[Reading]:
    """Gate 6 for every factor but trigger and bandwidth, of a cell that ran to its end."""
    config = seen.cell.streaming
    produced, collected = seen.produced, seen.collected
    stored = collected["stored_bytes"]
    readings = [
        effects.broker_acts(
            placement.servers,
            producer=produced["leaders"],
            spark=seen.effective["source"]["kafka.bootstrap.servers"].split(","),
            stored_bytes=stored,
        ),
        effects.plaintext_acts(
            config.plaintext, produced["leaders"], placement.servers, seen.effective["source"]
        ),
        effects.producer_acts(config.producer, produced["client"]),
        effects.partitions_act(
            config.given_partitions, produced["partitions"], seen.batches, seen.images
        ),
        effects.workers_act(
            [node.bed_address for node in placement.workers],
            seen.ready["executors"],
            collected["nodes"],
            # Fewer partitions than workers leave some without a task.
            at_least=config.given_partitions,
        ),
        effects.threads_act(config.threads, seen.ready["executors"]),
        effects.spark_pages_act(config.spark_pages, seen.effective["spark"]),
        effects.compression_acts(
            config.compression,
            stored,
            images=sum(batch["rows"] for batch in seen.batches),
            image_bytes=seen.cell.payload_bytes + KEY_BYTES,
        ),
        effects.model_acts(model_tag, collected["models"]),
        effects.conversion_acts(config.conversion, collected["conversions"]),
        effects.spark_settings_act(config.spark_settings, seen.effective["spark"]),
        effects.batches_reported(seen.stopped["missed_batches"]),
    ]
    if seen.rate_per_s is not None:
        sending_s = produced["last_send_at"] - produced["first_send_at"]
        readings.append(effects.offered_rate_acts(seen.rate_per_s, produced["sent"], sending_s))
    if seen.found is not None:
        readings.append(_of_search(seen.found))
    return readings


def _of_search(found: Found) -> Reading:
    """Whether the pipeline, and not what feeds it, set the rate that was found."""
    ceiling = found.ceiling
    return Reading(
        gate="search_bounded_by_pipeline",
        ok=not (found.at_ceiling and ceiling.set_by == "producer"),
        measured=round(found.rate_per_s),
        expected=f"below what the {ceiling.set_by} lets through, {ceiling.rate_per_s:.0f}"
        + (f": the {ceiling.set_by} is the limit" if found.at_ceiling else ""),
        unit="images/s",
        flag="driver_bound",
    )


def of_calls(seen: Observed, raw: Path) -> Reading:
    """Whether the model was called as asked; `raw` is the attempt's directory."""
    config = seen.cell.streaming
    return effects.calls_act(config.calls, first_results.calls(raw / "results.npz"))


def of_peace(seen: Observed, raw: Path) -> Reading:
    """Whether something died on its own; `raw` is the attempt's directory."""
    before, after = seen.lives if seen.lives is not None else ({}, {})
    return disturbance.judge(
        before,
        after,
        seen.ready["executors"],
        seen.stopped["executors"],
        first_results.retried_records(raw / "results.npz"),
    )
