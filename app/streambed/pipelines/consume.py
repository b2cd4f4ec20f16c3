"""`consume`: read a loaded topic as fast as plain Kafka consumers can, and count its bytes.

The stage `broker` of an ablation, and with a model behind it (`loop`) the rival of Spark.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from streambed.pipelines import kafka_access, kafka_client, parallel
from streambed.pipelines.errors import ServiceError
from streambed.pipelines.protocol import Commands, emit
from streambed.pipelines.spec import parse

POLL_S = 1.0
GIVE_UP_S = 30.0


@dataclass(frozen=True)
class ConsumeSpec:
    """Reads what `topic` holds when it starts, in batches of `batch_images`."""

    bootstrap: str
    topic: str
    processes: int = 2
    batch_images: int = 2000

    def __post_init__(self) -> None:
        for name in ("processes", "batch_images"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, not {getattr(self, name)}")


class Share:
    """The partitions of a loaded topic that one of several processes reads, to their end."""

    def __init__(self, bootstrap: str, topic: str, index: int, processes: int) -> None:
        from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

        self._consumer = Consumer(kafka_client.bulk_settings(bootstrap, "streambed-consume"))
        count = kafka_client.partitions_of(self._consumer, bootstrap, topic)
        partitions = range(index, count, processes)
        try:
            marks = [
                self._consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=10)
                for p in partitions
            ]
        except KafkaException as error:
            raise kafka_access.unanswered(bootstrap, error.args[0].str()) from None
        self.images = sum(high - low for low, high in marks)
        self._assignment = [TopicPartition(topic, p, OFFSET_BEGINNING) for p in partitions]

    def batches(self, images: int) -> Iterator[list[Any]]:
        """Every message, in batches of `images` (the last one may hold fewer).

        Raises:
            ServiceError: the broker refused, or sent nothing for half a minute.
        """
        self._consumer.assign(self._assignment)
        left = self.images
        heard_at = time.monotonic()
        while left:
            messages = self._consumer.consume(min(images, left), POLL_S)
            if messages:
                heard_at = time.monotonic()
            elif time.monotonic() - heard_at > GIVE_UP_S:
                raise ServiceError(f"{left} images were still to come after {GIVE_UP_S:g} s")
            for message in messages:
                if message.error() is not None:
                    raise ServiceError(f"reading failed: {message.error().str()}")
            left -= len(messages)
            if messages:
                yield messages
        self._consumer.close()


def prepare(spec: ConsumeSpec, index: int, processes: int) -> parallel.Work:
    """One process of program `consume`."""
    share = Share(spec.bootstrap, spec.topic, index, processes)

    def work(report: parallel.Report) -> dict[str, Any]:
        size = 0
        for messages in share.batches(spec.batch_images):
            size += sum(len(message.value()) for message in messages)
            report(len(messages))
        return {"images": share.images, "bytes": size}

    return work


def program(raw: dict[str, Any], commands: Commands) -> None:
    """Run `consume`: events ready, sample ..., done."""
    del commands
    spec = parse(ConsumeSpec, raw)
    parts = parallel.run(prepare, spec, spec.processes)
    emit(
        "done",
        at=time.time(),
        images=sum(part["images"] for part in parts),
        bytes=sum(part["bytes"] for part in parts),
    )
