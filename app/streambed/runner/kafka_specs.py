"""What the node programs of a Kafka cell are told."""

from collections.abc import Sequence
from typing import Any

from streambed.experiment.kafka import ACKS, JAVA, BrokerConfiguration, KafkaConfiguration
from streambed.experiment.placement import KafkaPlacement
from streambed.pipelines import pacing, senders
from streambed.results.throughput import warm_up_images
from streambed.runner import topics

QUEUE_BYTES = 32 * 1024 * 1024
PACED_QUEUE_BYTES = 64 * 1024 * 1024
"""What may wait in the producer at full speed, as Java's own producer has it (`buffer.memory`): a
whole batch of a MiB for each of many partitions. And at a constant rate, where a broker that is
gone for ten seconds must not hold up what others take."""

STICKY_BLOCK = 128
"""Images in a row to one partition for librdkafka, which by itself stays at one for a while, too:
it took a quarter more CPU time for an image when it got 8 of them at a time."""

PROGRESS_EVERY_S = 0.2


def topic_of(name: str, config: BrokerConfiguration, place: KafkaPlacement) -> dict[str, Any]:
    """The image topic on the brokers in use, as program `topics` makes it.

    One replica may be missing before acks=all is refused, where there are several.
    """
    return {
        "name": f"{topics.PREFIX}images-{name}",
        "partitions": config.partitions,
        "replication": config.replication,
        "brokers": place.addresses,
        "config": {"min.insync.replicas": max(1, config.replication - 1)},
    }


def _block(config: KafkaConfiguration) -> int:
    """Images in a row to one partition; kafka-python by itself takes another one for each."""
    sticky = config.client in (senders.CONFLUENT, JAVA)
    return STICKY_BLOCK if sticky else pacing.block_size(config.partitions)


def images_of_partitions(config: KafkaConfiguration, count: int) -> list[int]:
    """How many of `count` images go to each partition."""
    return pacing.images_of_partitions(count, _block(config), config.partitions)


def produce_spec(
    config: KafkaConfiguration,
    place: KafkaPlacement,
    topic: str,
    *,
    dataset: str,
    count: int,
    deadline_s: float,
) -> dict[str, Any]:
    """The spec of program `produce`, with the cell's own client and settings."""
    paced = config.offered_rate_images_per_s is not None
    return {
        "bootstrap": place.bootstrap,
        "topic": topic,
        "producer": config.client,
        "dataset": dataset,
        "count": count,
        "block": _block(config),
        "rate_per_s": config.offered_rate_images_per_s,
        "config": {
            "acks": None if config.acks is None else ACKS[config.acks],
            "idempotence": None if config.idempotence is None else config.idempotence == "on",
            "linger_ms": None if config.linger_s is None else config.linger_s * 1000,
            "batch_bytes": config.batch_bytes,
            "compression": config.compression,
            "queue_bytes": PACED_QUEUE_BYTES if paced else QUEUE_BYTES,
            "statistics": True,
        },
        "deadline_s": deadline_s,
        "progress_every_s": PROGRESS_EVERY_S,
        "profile": True,
    }


def load_spec(
    config: KafkaConfiguration,
    place: KafkaPlacement,
    topic: str,
    *,
    dataset: str,
    count: int,
    deadline_s: float,
) -> dict[str, Any]:
    """The same without measurements; Java's consumer reads what confluent-kafka has sent."""
    spec = produce_spec(config, place, topic, dataset=dataset, count=count, deadline_s=deadline_s)
    client = senders.CONFLUENT if config.client == JAVA else config.client
    return {**spec, "producer": client, "rate_per_s": None, "profile": False}


def perf_spec(
    config: KafkaConfiguration,
    place: KafkaPlacement,
    topic: str,
    tool: str,
    *,
    dataset: str,
    count: int,
) -> dict[str, Any]:
    """The spec of program `perf`: one of Kafka's own tools."""
    given = {
        "acks": None if config.acks is None else ACKS[config.acks],
        "enable.idempotence": None
        if config.idempotence is None
        else str(config.idempotence == "on").lower(),
        "linger.ms": None if config.linger_s is None else round(config.linger_s * 1000),
        "batch.size": config.batch_bytes,
        "compression.type": config.compression,
    }
    return {
        "tool": tool,
        "bootstrap": place.bootstrap,
        "topic": topic,
        "count": count,
        "warm_up": warm_up_images(count),
        "dataset": dataset,
        "properties": {name: value for name, value in given.items() if value is not None}
        if tool == "produce"
        else {},
    }


def shares(partitions: int, consumers: int) -> list[list[int]]:
    """The partitions of each consumer that has any, evenly: as a group would assign them."""
    return [
        list(range(index, partitions, consumers)) for index in range(min(consumers, partitions))
    ]


def read_specs(
    config: BrokerConfiguration,
    place: KafkaPlacement,
    topic: str,
    *,
    client: str,
    expected: Sequence[int],
    consumers: int,
    give_up_s: float,
    raw_path: str | None = None,
) -> list[dict[str, Any]]:
    """The specs of program `read`, one for each consumer that has a partition.

    Args:
        config: of the cell.
        place: its placement.
        topic: the topic's name.
        client: library of the consumers.
        expected: images in each partition.
        consumers: how many share the partitions.
        give_up_s: how long a consumer waits for the next image.
        raw_path: pattern with `{}` for a consumer's number, where each record's times are kept.
    """
    return [
        {
            "bootstrap": place.bootstrap,
            "topic": topic,
            "partitions": mine,
            "count": sum(expected),
            "expect": sum(expected[partition] for partition in mine),
            "client": client,
            "give_up_s": give_up_s,
            "raw_path": None if raw_path is None else raw_path.format(number),
        }
        for number, mine in enumerate(shares(config.partitions, consumers), 1)
    ]
