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
    recovery_s: float | None = measure(
        "s", "injected fault to the last late result or the end of the last pause; 0: not felt"
    )
    set_aside: int | None = measure(
        "records", "no images, or images that the model failed on: in the dead-letter topic", int
    )
    accuracy: float | None = measure("", "share of labels that are right")
    cold_start_s: float | None = measure("s", "submit of the job to its first result")
    engine_s: float | None = measure(
        "s",
        "time of the cell that was neither cold start, warm-up, gate nor sending and classifying",
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
    clock_offset_s: float | None = measure(
        "s", "broker's clock less the producer's, open mode only: the pair furthest apart"
    )
    clock_uncertainty_s: float | None = measure(
        "s", "most by which those clocks, and so a latency, may be off (0: nodes share one clock)"
    )
    sustainable_rate_per_s: float | None = measure(
        "images/s", "highest offered rate tried at which lag grew by at most 1 % of it"
    )
    search_steps: int | None = measure("", "rates that the search for it tried", int)
    lag_slope_per_s: float | None = measure(
        "images/s", "growth of the lag (images due and not classified) in the window, open mode"
    )
    memory_growth_mib_per_h: float | None = measure(
        "MiB/h", "growth of the memory of all nodes in the window's second half, 10 min and longer"
    )
    live_heap_growth_mib_per_h: float | None = measure(
        "MiB/h", "the same: what is alive in the heaps of JVMs, after a full collection"
    )
    thread_growth_per_h: float | None = measure("1/h", "the same: threads")
    fd_growth_per_h: float | None = measure("1/h", "the same: open files")
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


@dataclass(frozen=True, kw_only=True)
class KafkaMeasures(Measures):
    """Figures of one cell of pipeline `kafka`."""

    pipeline: ClassVar[str] = "kafka"

    produce_rate_per_s: float | None = measure(
        "images/s", "images acknowledged in the steady part, over its length"
    )
    consume_rate_per_s: float | None = measure(
        "images/s",
        "images that all consumers together got in the steady part, which ends when the first of "
        "them has none left, or nothing is sent any more",
    )
    produce_makespan_rate_per_s: float | None = measure(
        "images/s", "all images over first send to last acknowledgement"
    )
    consume_makespan_rate_per_s: float | None = measure(
        "images/s",
        "all images over start, or the first send after it, to the last consumer's last one",
    )
    lost: int | None = measure("images", "ids sent that are not in the topic", int)
    duplicates: int | None = measure("images", "records beyond the first of an id", int)
    images_sent: int | None = measure("images", "sent to be counted", int)
    consumer_fairness: float | None = measure(
        "", "Jain's index over the images that each consumer got"
    )
    records_per_request: float | None = measure(
        "images", "images in a request of the producer's library, by its own count"
    )
    batch_mean_bytes: float | None = measure(
        "bytes", "a partition's batch as the producer's library sent it: mean"
    )
    producer_cpu_s_per_image: float | None = measure(
        "s", "CPU time of the producer's process per image"
    )
    consumer_cpu_s_per_image: float | None = measure(
        "s", "CPU time of the consumers' processes per image"
    )
    own_producer_cpu_s_per_image: float | None = measure(
        "s", "part of it that is the benchmark's own loop, measured without a library"
    )
    own_consumer_cpu_s_per_image: float | None = measure(
        "s", "part of it that is the benchmark's own accounting by id"
    )
    producer_profile: str | None = measure(
        "",
        "CPU time per image by what the producer's process does, from clocks of its threads",
        str,
    )
    stored_bytes_per_image: float | None = measure(
        "bytes", "what the brokers hold per image and replica"
    )
    tool_rate_per_s: float | None = measure(
        "images/s", "what Kafka's own producing tool says of itself, client `java` only"
    )
    goodput_up_mbit_per_s: float | None = measure(
        "Mbit/s", "TCP payload rate client → cluster, measured before the cell"
    )
    goodput_down_mbit_per_s: float | None = measure(
        "Mbit/s", "TCP payload rate cluster → client, measured before the cell"
    )
    link_utilisation: float | None = measure(
        "", "produce rate × payload × 8 / measured uplink goodput, brokers beyond the link"
    )
    stall_max_s: float | None = measure("s", "longest time without an acknowledgement")
    recovery_s: float | None = measure(
        "s", "broker killed to every replica in sync again, itself included"
    )
    late_max_s: float | None = measure(
        "s", "how late the most delayed image was sent, at a constant rate"
    )
    steady_s: float | None = measure("s", "length of the steady part")
    client_cpu_share: float | None = measure(
        "", "CPU time in the steady part over the quota: the producer's node"
    )
    broker_cpu_share: float | None = measure("", "the same: nodes of the brokers in use together")
    consumers_cpu_share: float | None = measure("", "the same: the consumers' nodes together")
    cpu_pressure: float | None = measure(
        "", "highest share of the time in which a node's tasks waited for a CPU"
    )
    cpu_foreign: float | None = measure(
        "", "share of the host's CPU time used by others than the bed's nodes in it"
    )
    steal: float | None = measure("", "share of the host's CPU time stolen in it")


@dataclass(frozen=True, kw_only=True)
class CamerasMeasures(Measures):
    """Figures of one cell of pipeline `cameras`; the first tenth of the frames is warm-up."""

    pipeline: ClassVar[str] = "cameras"

    image_rate_per_s: float | None = measure(
        "images/s", "frames that consumers got, over the time in which they were due"
    )
    lost: int | None = measure("images", "frames sent that no consumer got", int)
    duplicates: int | None = measure("images", "frames beyond the first of an id", int)
    reordered: int | None = measure(
        "images", "frames that came after a later one of the same camera", int
    )
    camera_fairness: float | None = measure(
        "", "Jain's index over the frames of each camera that came within a frame's time"
    )
    latency_p50_s: float | None = measure("s", "frame due to frame in a consumer's hands: median")
    latency_p95_s: float | None = measure("s", "the same: 95th percentile")
    latency_p99_s: float | None = measure("s", "the same: 99th percentile")
    latency_max_s: float | None = measure("s", "the same: longest")
    latency_best_p99_s: float | None = measure(
        "s", "99th percentile of the camera that has the lowest"
    )
    latency_worst_p99_s: float | None = measure(
        "s", "99th percentile of the camera that has the highest"
    )
    latency_ack_p50_s: float | None = measure(
        "s", "part of the latency, frame due to acknowledged by the brokers: median"
    )
    latency_ack_p99_s: float | None = measure("s", "the same: 99th percentile")
    clock_offset_s: float | None = measure(
        "s", "consumer's clock less the producer's: the pair furthest apart"
    )
    clock_uncertainty_s: float | None = measure(
        "s", "most by which those clocks, and so a latency, may be off (0: nodes share one clock)"
    )
    late_p99_s: float | None = measure(
        "s", "how late frames were sent, 99th percentile: the benchmark's own part"
    )
    producer_threads: int | None = measure("", "threads of the process that holds the cameras", int)
    goodput_up_mbit_per_s: float | None = measure(
        "Mbit/s", "TCP payload rate client → cluster, measured before the cell"
    )
    goodput_down_mbit_per_s: float | None = measure(
        "Mbit/s", "TCP payload rate cluster → client, measured before the cell"
    )
    client_cpu_share: float | None = measure(
        "", "CPU time over the quota while frames were sent: the producer's node"
    )
    broker_cpu_share: float | None = measure("", "the same: nodes of the brokers in use together")
    consumers_cpu_share: float | None = measure("", "the same: the consumers' nodes together")
    cpu_pressure: float | None = measure(
        "", "highest share of the time in which a node's tasks waited for a CPU"
    )
    cpu_foreign: float | None = measure(
        "", "share of the host's CPU time used by others than the bed's nodes in it"
    )
    steal: float | None = measure("", "share of the host's CPU time stolen in it")


@dataclass(frozen=True, kw_only=True)
class TrainingMeasures(Measures):
    """Figures of one cell of pipeline `training`."""

    pipeline: ClassVar[str] = "training"

    train_s: float | None = measure(
        "s", "time of the updates that led to the weights; evaluations are left out"
    )
    image_rate_per_s: float | None = measure(
        "images/s", "images trained, each as often as it was, over that time"
    )
    top1: float | None = measure(
        "", "share of the test images whose label is the network's first, evaluated by the weights"
    )
    top5: float | None = measure("", "the same: among its first five")
    loss: float | None = measure("", "mean cross entropy of the test images, in nats")
    train_loss: float | None = measure("", "mean loss of the images of the last epoch")
    wait_share: float | None = measure(
        "",
        "part of that time in which a rank waited for the others, mean over ranks; null where an "
        "engine cannot tell it from its work",
    )
    speed_up: float | None = measure(
        "",
        "image rate over the median one of the fewest workers with the same engine, batch size, "
        "epochs and iterations in this run; null until such a cell has run",
    )
    prepare_s: float | None = measure(
        "s", "Spark job that decodes, normalises, augments and splits the images; the first one"
    )
    prepare_share: float | None = measure(
        "", "that time over preprocessing, start of the ranks, updates and evaluations together"
    )
    launch_s: float | None = measure(
        "s", "start of the ranks until all of them are there; the first one"
    )
    evaluate_s: float | None = measure("s", "evaluations after each epoch")
    images_trained: int | None = measure("images", "over all updates and ranks", int)
    updates: int | None = measure("", "updates of the weights; of spark-mlp iterations", int)
    all_ranks: int | None = measure("", "processes that trained, at the end", int)
    resumed: int | None = measure(
        "", "times that a worker was lost, and what was left went on", int
    )
    lost_s: float | None = measure(
        "s",
        "time that this cost, in none of the others: work thrown away, preparing and starting "
        "again, waiting",
    )
    weights_sha256: str | None = measure(
        "", "of the weights file, `lenet5.npz` beside the raw samples", str
    )
    cold_start_s: float | None = measure("s", "start of the application until it has its executors")
    cpu_pressure: float | None = measure(
        "", "highest share of the training's time in which a node's tasks waited for a CPU"
    )
    cpu_foreign: float | None = measure(
        "", "share of the host's CPU time used by others than the bed's nodes during the training"
    )
    steal: float | None = measure("", "share of the host's CPU time stolen during the training")


MEASURES_OF: Mapping[str, type[Measures]] = {
    cls.pipeline: cls
    for cls in (
        StreamingMeasures,
        AblationMeasures,
        BatchMeasures,
        KafkaMeasures,
        CamerasMeasures,
        TrainingMeasures,
    )
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
