"""confluent-kafka (librdkafka) as a reader: fetches in C threads."""

from typing import Any

from streambed.pipelines import kafka_client
from streambed.pipelines.errors import ServiceError
from streambed.pipelines.readers import Fetched

MOST_RECORDS = 2_000
"""Handed over at once."""


class ConfluentReader:
    """confluent-kafka: few, large requests, one ahead of what is being worked on."""

    def __init__(self, bootstrap: str, topic: str, partitions: list[int], timestamps: bool) -> None:
        from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

        self._topic = topic
        self._timestamps = timestamps
        self._consumer = Consumer(kafka_client.bulk_settings(bootstrap, "streambed-read"))
        self._partitions = kafka_client.partitions_of(self._consumer, bootstrap, topic)
        self._consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in partitions])

    @property
    def client(self) -> str:
        return kafka_client.client()

    def topic_partitions(self) -> int:
        return self._partitions

    def assigned(self) -> list[int]:
        return sorted(entry.partition for entry in self._consumer.assignment())

    def fetch(self, timeout_s: float) -> Fetched | None:
        # Asked for many at once, the library would wait for them until the time is over.
        messages = self._consumer.consume(1, timeout_s)
        if not messages:
            return None
        messages += self._consumer.consume(MOST_RECORDS - 1, 0)
        good = [message for message in messages if message.error() is None]
        if len(good) < len(messages):
            self._judge(messages)
            if not good:
                return None
        return Fetched(
            keys=[message.key() for message in good],
            partitions=[message.partition() for message in good],
            timestamps_ms=[m.timestamp()[1] for m in good] if self._timestamps else [],
            value_bytes=sum(len(message.value()) for message in good),
        )

    @staticmethod
    def _judge(messages: list[Any]) -> None:
        """A broker that is away comes back; what is fatal does not end."""
        for message in messages:
            error = message.error()
            if error is not None and error.fatal():
                raise ServiceError(f"reading failed: {error.str()}")

    def close(self) -> None:
        self._consumer.close()
