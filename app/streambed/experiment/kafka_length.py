"""How fast Kafka's clients are expected to be, for the length of a cell and the estimate of a run.

Only orders of magnitude: what a cell measures is its own business. Measured on two shared cores,
per core and image of MNIST's size, on the fastest host so far: a cell whose length is `auto` takes
longer on others, but has enough to be measured on every one.
"""

import math

from streambed.experiment.kafka import (
    CONSUME,
    WHILE,
    BrokerConfiguration,
    CamerasConfiguration,
    KafkaConfiguration,
)
from streambed.experiment.placement import place_kafka
from streambed.inventory import Inventory, Node
from streambed.link import expected_goodput_bit_per_s

SEND_S = {
    "confluent-kafka": 8e-6,
    "kafka-python": 40e-6,
    "kafka-python-plain": 150e-6,
    "java": 15e-6,
}
"""CPU time of a producer per image, by client."""

READ_S = {
    "confluent-kafka": 4e-6,
    "kafka-python": 15e-6,
    "kafka-python-plain": 60e-6,
    "java": 5e-6,
}
"""CPU time of a consumer per image, by client."""

BROKER_S, BROKER_SMALL_S = 12e-6, 20e-6
"""CPU time of a broker per image and replica; in the small batches of kafka-python's defaults."""

BROKER_READ_S = 2e-6
"""CPU time of a broker per image that it hands out."""

AUTO_S = 15.0
"""What `image_count: auto` should take."""

LEAST_IMAGES = 2_000

IMAGE_BITS, MTU_BYTES = 8 * 792, 1500


def _cores(*nodes: Node) -> float:
    """Quota of some nodes together; a node without one counts as a core."""
    return sum(node.cpus or 1.0 for node in nodes)


def produce_rate_per_s(config: KafkaConfiguration, bed: Inventory) -> float:
    """Images/s that producer and brokers may reach."""
    placed = place_kafka(config, bed)
    small = config.client.startswith("kafka-python") and config.batch_bytes is None
    broker_s = (BROKER_SMALL_S if small else BROKER_S) * config.replication
    send_s = SEND_S[config.client]
    if placed.producer in placed.brokers:
        limits = [_cores(placed.producer) / (send_s + broker_s)]
    else:
        limits = [min(1.0, _cores(placed.producer)) / send_s, _cores(*placed.brokers) / broker_s]
        limits += _link_rate_per_s(config)
    if config.offered_rate_images_per_s is not None:
        limits.append(config.offered_rate_images_per_s)
    return min(limits)


def _link_rate_per_s(config: KafkaConfiguration) -> list[float]:
    """What the link carries, where it is shaped."""
    if config.bandwidth_mbit_per_s is None:
        return []
    return [expected_goodput_bit_per_s(config.bandwidth_mbit_per_s * 1e6, MTU_BYTES) / IMAGE_BITS]


def consume_rate_per_s(config: KafkaConfiguration, bed: Inventory) -> float:
    """Images/s that all consumers together may reach."""
    placed = place_kafka(config, bed)
    busy = min(config.consumers, config.partitions)
    nodes = placed.consumers[:busy]
    share = {node.name: sum(other is node for other in nodes) for node in nodes}
    cores = sum(min(1.0, _cores(node) / share[node.name]) for node in nodes)
    limits = [cores / READ_S[config.client], _cores(*placed.brokers) / BROKER_READ_S]
    if placed.producer in placed.brokers:
        limits += _link_rate_per_s(config)
    if config.scenario == WHILE and config.offered_rate_images_per_s is not None:
        limits.append(config.offered_rate_images_per_s)
    return min(limits)


def images_of(config: BrokerConfiguration, bed: Inventory) -> int:
    """The number of images of a cell: as written, or as many as take a quarter of a minute."""
    if isinstance(config, CamerasConfiguration):
        return config.cameras * config.frames
    assert isinstance(config, KafkaConfiguration)
    if config.images is not None:
        return config.images
    rate = (
        consume_rate_per_s(config, bed)
        if config.scenario == CONSUME
        else produce_rate_per_s(config, bed)
    )
    wanted = rate * (config.duration_s or AUTO_S)
    return max(LEAST_IMAGES, 1_000 * math.ceil(wanted / 1_000))
