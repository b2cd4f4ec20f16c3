"""How many images a cell sends, so that warm-up and 8 whole triggers fit while it is sending.

    sending_s = (warm_up.triggers + EDGE_TRIGGERS) * trigger_s
                + max(MEASURED_TRIGGERS * trigger_s, LEAST_MEASURED_S) + warm_up.drain
    images    = ceil(arrival_images_per_s * sending_s)

The arrival rate is what the link lets through at best, so that a cell lasts at least this long:
goodput / (8 * (payload + RECORD_BYTES)), times the compression's ratio; or the offered rate, or
what the producer's library manages on the client's cores, when that is less.

An ablation reads a loaded topic, in micro-batches of a given size:

    images = (warm_up.triggers + MEASURED_TRIGGERS) * micro_batch_images

A batch classifies chunks * chunk_images, or none where chunks are timed. A training trains each of
its images once in each epoch, up to its last update.
"""

import math

from streambed.experiment.ablation import AblationConfiguration
from streambed.experiment.batch import BatchConfiguration
from streambed.experiment.content import training_images
from streambed.experiment.factor import Configuration
from streambed.experiment.factors import StreamingConfiguration
from streambed.experiment.schema import WarmUp
from streambed.experiment.training import TrainingConfiguration
from streambed.link import expected_goodput_bit_per_s

MEASURED_TRIGGERS = 8
"""Whole triggers that a result must span (design.md)."""

LEAST_MEASURED_S = 8.0
"""Triggers may be shorter than a micro-batch: 8 of those would be hardly more than one batch."""

EDGE_TRIGGERS = 2
"""The window starts and ends on boundaries: up to one trigger is lost at each end."""

MTU_BYTES = 1500
"""For the estimate; the gates read the interface's own."""

RECORD_BYTES = 8
"""The key. What Kafka adds per record is left out: it only makes a cell longer."""

COMPRESSION_RATIO = {"none": 1.0, "lz4": 3.6, "zstd": 4.8}
"""Images per uncompressed image that pass (MNIST: 3.4 and 4.6 were measured); a wide bound."""


KAFKA_PYTHON_IMAGES_PER_CORE_S = {"library": 10_000.0, "fitted": 15_000.0}
"""Images/s per core, by `producer_settings`; a wide bound (6,600 and 13,000 were measured)."""


def link_images_per_s(bandwidth_mbit_per_s: float, payload_bytes: int) -> float:
    """Upper bound of uncompressed images/s on a link: TCP goodput over payload and key."""
    goodput = expected_goodput_bit_per_s(bandwidth_mbit_per_s * 1e6, MTU_BYTES)
    return goodput / (8 * (payload_bytes + RECORD_BYTES))


def producer_images_per_s(
    config: StreamingConfiguration, producer_cpus: float | None
) -> float | None:
    """The fastest that a slow client library sends; None where it is faster than any pipeline.

    kafka-python works in one process: more than one core does not help it.
    """
    if config.producer != "kafka-python":
        return None
    per_core_s = KAFKA_PYTHON_IMAGES_PER_CORE_S[config.producer_settings]
    return per_core_s * min(1.0, producer_cpus or 1.0)


def arrival_images_per_s(
    config: StreamingConfiguration, payload_bytes: int, producer_cpus: float | None = None
) -> float | None:
    """The fastest that images can arrive; None when nothing limits them.

    Args:
        config: of the cell.
        payload_bytes: of one image.
        producer_cpus: CPU quota of the producer's node; None when it has none.
    """
    limits = []
    if config.bandwidth_mbit_per_s is not None:
        ratio = COMPRESSION_RATIO[config.compression]
        limits.append(ratio * link_images_per_s(config.bandwidth_mbit_per_s, payload_bytes))
    if config.offered_rate_images_per_s is not None:
        limits.append(config.offered_rate_images_per_s)
    producer = producer_images_per_s(config, producer_cpus)
    if producer is not None:
        limits.append(producer)
    return min(limits) if limits else None


def sending_time_s(config: Configuration, warm_up: WarmUp) -> float:
    """How long a cell must send (the formula above), unless it says how long."""
    if config.duration_s is not None:
        return config.duration_s
    assert isinstance(config, StreamingConfiguration)
    measured_s = max(MEASURED_TRIGGERS * config.trigger_s, LEAST_MEASURED_S)
    edges_s = (warm_up.triggers + EDGE_TRIGGERS) * config.trigger_s
    return edges_s + measured_s + warm_up.drain_s


def images_of(
    config: Configuration,
    warm_up: WarmUp,
    payload_bytes: int,
    producer_cpus: float | None = None,
) -> int:
    """The number of images of a cell: as written, else from the formula above.

    `Configuration.contradictions` has refused cells whose pace is unknown; where the cell finds it
    out itself, `images_at` follows.
    """
    if config.images is not None:
        return config.images
    if isinstance(config, BatchConfiguration):
        return config.asked_images
    if isinstance(config, TrainingConfiguration):
        return config.steps(training_images(config.dataset)).trained_images
    if isinstance(config, AblationConfiguration):
        return (warm_up.triggers + MEASURED_TRIGGERS) * config.micro_batch_images
    assert isinstance(config, StreamingConfiguration)
    arrival = arrival_images_per_s(config, payload_bytes, producer_cpus)
    assert arrival is not None
    return images_at(arrival, config, warm_up)


def images_at(rate_per_s: float, config: Configuration, warm_up: WarmUp) -> int:
    """The number of images of a cell that arrive at this rate, by the formula above."""
    return math.ceil(rate_per_s * sending_time_s(config, warm_up))
