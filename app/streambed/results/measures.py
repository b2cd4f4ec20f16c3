"""The measure registry: one line in a class is all there is to a figure of a row.

The attribute is the field of the row; its name carries the unit. A measure that was not taken,
or has no meaning in a cell, is None.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

_KEY = "streambed.measure"

Figure = int | float | str


@dataclass(frozen=True)
class Measure:
    """One figure of a row."""

    field: str
    unit: str
    type: type[Figure]
    meaning: str


def measure(unit: str, meaning: str, kind: type[Figure] = float) -> Any:
    """Declare a measure as a dataclass field."""
    return dataclasses.field(
        default=None, metadata={_KEY: {"unit": unit, "meaning": meaning, "type": kind}}
    )


@dataclass(frozen=True, kw_only=True)
class Measures:
    """What every pipeline measures: the use of its nodes while it ran."""

    pipeline: ClassVar[str]

    cpu_share_max: float | None = measure(
        "", "CPU time in the measured window over the node's quota: the busiest node's"
    )
    memory_share_max: float | None = measure(
        "", "memory over the node's limit at the fullest moment of the window: the fullest node's"
    )
    link_share_max: float | None = measure(
        "", "frames on the shaped link over those of the measured goodput: the busier direction's"
    )
    bottleneck: str | None = measure(
        "", "what was in use to its limit in the window, or came closest", str
    )

    def as_fields(self) -> dict[str, Figure | None]:
        """Field name → figure, in the order of declaration."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}


@dataclass(frozen=True, kw_only=True)
class StreamingMeasures(Measures):
    """Figures of one cell of pipeline `streaming`."""

    pipeline: ClassVar[str] = "streaming"

    image_rate_per_s: float | None = measure(
        "images/s",
        "results appended between two trigger boundaries after warm-up, over that span",
    )
    makespan_image_rate_per_s: float | None = measure(
        "images/s", "all images over first send to last result (the published definition)"
    )
    goodput_up_mbit_per_s: float | None = measure(
        "Mbit/s", "TCP payload rate client → cluster, measured before the cell"
    )
    goodput_down_mbit_per_s: float | None = measure(
        "Mbit/s", "TCP payload rate cluster → client, measured before the cell"
    )
    link_utilisation: float | None = measure(
        "", "image rate × payload × 8 / measured uplink goodput"
    )
    micro_batch_mean_s: float | None = measure(
        "s", "processing time of a micro-batch in the window, queueing excluded: mean"
    )
    micro_batch_p95_s: float | None = measure("s", "the same: 95th percentile")
    micro_batch_max_s: float | None = measure("s", "the same: longest")
    busy_image_rate_per_s: float | None = measure(
        "images/s", "images over processing time: what the classifier does while it works"
    )
    queue_max_s: float | None = measure(
        "s", "longest wait of a micro-batch for the ones before it, batching `interval` only"
    )
    window_s: float | None = measure("s", "length of the measured window")
    window_triggers: int | None = measure("", "whole triggers in the measured window", int)
    warm_up_s: float | None = measure("s", "first send to the start of the measured window")
    lost: int | None = measure("images", "ids sent that no result names", int)
    duplicates: int | None = measure("images", "results beyond the first of an id", int)
    mismatches: int | None = measure(
        "images", "labels that differ from the model evaluated offline", int
    )
    accuracy: float | None = measure("", "share of labels that are right")
    cold_start_s: float | None = measure("s", "submit of the job to its first result")
    engine_s: float | None = measure(
        "s", "time of the cell that was neither cold start, warm-up, gate nor sending and classifying"
    )
    images_sent: int | None = measure("images", "sent to be counted", int)
    send_rate_per_s: float | None = measure(
        "images/s", "images acknowledged by the broker over the time they were sent in"
    )
    producer_cpu_share: float | None = measure(
        "", "CPU time of the producer over the time it was sending (1: one core)"
    )
    producer_unshaped_rate_per_s: float | None = measure(
        "images/s", "what the producer manages when nothing shapes the link"
    )
    latency_p50_s: float | None = measure(
        "s", "intended send to result append, open mode only: median"
    )
    latency_p95_s: float | None = measure("s", "the same: 95th percentile")
    latency_p99_s: float | None = measure("s", "the same: 99th percentile")
    latency_max_s: float | None = measure("s", "the same: longest")
    latency_sample_images: int | None = measure(
        "images", "images in the sample that the parts of the latency are taken over", int
    )
    latency_link_p50_s: float | None = measure(
        "s", "part of the latency, intended send to acknowledged by the broker: median"
    )
    latency_link_p99_s: float | None = measure("s", "the same: 99th percentile")
    latency_batch_wait_p50_s: float | None = measure(
        "s", "part of the latency, acknowledged to in the Python worker's hands: median"
    )
    latency_batch_wait_p99_s: float | None = measure("s", "the same: 99th percentile")
    latency_compute_p50_s: float | None = measure(
        "s", "part of the latency, the model's call that the image was in: median"
    )
    latency_compute_p99_s: float | None = measure("s", "the same: 99th percentile")
    latency_sink_p50_s: float | None = measure(
        "s", "part of the latency, end of that call to result append: median"
    )
    latency_sink_p99_s: float | None = measure("s", "the same: 99th percentile")
    sustainable_rate_per_s: float | None = measure(
        "images/s", "highest offered rate tried at which lag grew by at most 1 % of it"
    )
    search_steps: int | None = measure("", "rates that the search for it tried", int)
    lag_slope_per_s: float | None = measure(
        "images/s", "growth of the lag (images due and not classified) in the window, open mode"
    )
    client_cpu_share: float | None = measure(
        "", "CPU time in the window over the quota: the producer's node"
    )
    broker_cpu_share: float | None = measure("", "the same: the brokers' nodes together")
    master_cpu_share: float | None = measure("", "the same: the node of Spark's master and driver")
    workers_cpu_share: float | None = measure("", "the same: all workers in use together")
    cpu_pressure: float | None = measure(
        "", "highest share of the cell's time in which a node's tasks waited for a CPU"
    )
    cpu_foreign: float | None = measure(
        "", "share of the host's CPU time used by others than the bed's nodes during the cell"
    )
    steal: float | None = measure("", "share of the host's CPU time stolen during the cell")


@dataclass(frozen=True, kw_only=True)
class AblationMeasures(Measures):
    """Figures of one cell of pipeline `ablation`."""

    pipeline: ClassVar[str] = "ablation"

    image_rate_per_s: float | None = measure(
        "images/s",
        "images of the batches that ended in the steady part of a stage, over its length",
    )
    steady_s: float | None = measure(
        "s", "length of the steady part: warm-up images done to the first worker without work"
    )
    steady_images: int | None = measure("images", "images of the batches that ended in it", int)
    warm_up_s: float | None = measure("s", "all processes ready to the start of the steady part")
    cpu_s_per_image: float | None = measure(
        "s", "CPU time of the node that does the stage, broker included, per image"
    )
    cpu_share: float | None = measure(
        "", "CPU time of that node in the steady part over its length (1: one core)"
    )
    micro_batch_mean_s: float | None = measure(
        "s", "processing time of a micro-batch after warm-up, Spark's stages only: mean"
    )
    bytes_read: int | None = measure(
        "bytes", "payload that reached the stage, as it counted it itself", int
    )
    lost: int | None = measure("images", "ids in the topic that no result names", int)
    duplicates: int | None = measure("images", "results beyond the first of an id", int)
    mismatches: int | None = measure(
        "images", "labels that differ from the model evaluated offline", int
    )
    accuracy: float | None = measure("", "share of labels that are right")
    cpu_pressure: float | None = measure(
        "", "highest share of the steady part in which a node's tasks waited for a CPU"
    )
    cpu_foreign: float | None = measure(
        "", "share of the host's CPU time used by others than the bed's nodes in it"
    )
    steal: float | None = measure("", "share of the host's CPU time stolen in it")


@dataclass(frozen=True, kw_only=True)
class BatchMeasures(Measures):
    """Figures of one cell of pipeline `batch`."""

    pipeline: ClassVar[str] = "batch"

    execution_s: float | None = measure("s", "job submitted to job ended, by Spark's event log")
    fairness: float | None = measure(
        "", "Jain's index over the chunks of each worker in use: (sum x)² / (k sum x²)"
    )
    max_tasks_per_node: int | None = measure(
        "chunks", "chunks on the node that had most (the study calls a chunk a task)", int
    )
    max_chunks_per_partition: int | None = measure(
        "chunks", "chunks in the fullest partition: one thread after the other works on them", int
    )
    nodes_used: int | None = measure("", "workers that had a chunk at all", int)
    image_rate_per_s: float | None = measure(
        "images/s", "images classified over execution time, chunk work `model` only"
    )
    lead_s: float | None = measure(
        "s", "job submitted to start of its first chunk: input, shuffle, first task's start"
    )
    chunk_mean_s: float | None = measure("s", "time of a chunk on its thread: mean")
    chunk_max_s: float | None = measure("s", "the same: longest")
    task_overhead_s: float | None = measure(
        "s", "time of a task with chunks beside its chunks, by the event log: mean"
    )
    idle_share: float | None = measure(
        "", "part of the workers' time, first chunk's start to last one's end, without any chunk"
    )
    accuracy: float | None = measure("", "share of labels that are right")
    mismatches: int | None = measure(
        "images", "labels that differ from the model evaluated offline", int
    )
    cold_start_s: float | None = measure(
        "s", "start of the application that ran the job until it was warm"
    )
    cpu_pressure: float | None = measure(
        "", "highest share of the job's time in which a node's tasks waited for a CPU"
    )
    cpu_foreign: float | None = measure(
        "", "share of the host's CPU time used by others than the bed's nodes during the job"
    )
    steal: float | None = measure("", "share of the host's CPU time stolen during the job")


MEASURES_OF: Mapping[str, type[Measures]] = {
    cls.pipeline: cls for cls in (StreamingMeasures, AblationMeasures, BatchMeasures)
}
"""The measures of each pipeline. A new pipeline's are one class here."""


def measures_of(pipeline: str) -> dict[str, Measure]:
    """The measures of a pipeline by field."""
    return {
        field.name: Measure(field=field.name, **field.metadata[_KEY])
        for field in dataclasses.fields(MEASURES_OF[pipeline])
    }


MEASURES: Mapping[str, Measure] = {
    name: entry
    for pipeline in reversed(list(MEASURES_OF))
    for name, entry in measures_of(pipeline).items()
}
"""Every measure there is, by field; where pipelines share one, the first pipeline's words."""


def describe() -> list[dict[str, str]]:
    """The registry as data for the documentation: one row per measure and pipeline."""
    return [
        {"pipeline": pipeline, "field": m.field, "unit": m.unit, "meaning": m.meaning}
        for pipeline in MEASURES_OF
        for m in measures_of(pipeline).values()
    ]
