"""kafka-python as a reader: its own defaults, but for offsets, which nobody commits."""

from streambed.pipelines import checksum, kafka_access
from streambed.pipelines.errors import ServiceError
from streambed.pipelines.readers import Fetched


class KafkaPythonReader:
    """kafka-python: pure Python; each record is an object."""

    def __init__(self, bootstrap: str, topic: str, partitions: list[int], timestamps: bool) -> None:
        from kafka import KafkaConsumer, TopicPartition
        from kafka.errors import KafkaError

        self._topic = topic
        self._timestamps = timestamps
        self._error = KafkaError
        try:
            self._consumer = KafkaConsumer(
                **kafka_access.of(bootstrap, kafka_access.CLASSIFIER).kafka_python(),
                group_id=None,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                allow_auto_create_topics=False,
            )
            found = self._consumer.partitions_for_topic(topic)
        except KafkaError as error:
            raise kafka_access.unanswered(bootstrap, error) from None
        if not found:
            raise ServiceError(f"topic {topic!r} does not exist")
        self._partitions = len(found)
        mine = [TopicPartition(topic, partition) for partition in partitions]
        self._consumer.assign(mine)
        if mine:
            self._consumer.seek_to_beginning()

    @property
    def client(self) -> str:
        return checksum.client()

    def topic_partitions(self) -> int:
        return self._partitions

    def assigned(self) -> list[int]:
        return sorted(entry.partition for entry in self._consumer.assignment())

    def fetch(self, timeout_s: float) -> Fetched | None:
        try:
            found = self._consumer.poll(timeout_ms=round(timeout_s * 1000))
        except self._error as error:
            raise ServiceError(f"reading failed: {error}") from None
        if not found:
            return None
        records = [record for each in found.values() for record in each]
        return Fetched(
            keys=[record.key for record in records],
            partitions=[record.partition for record in records],
            timestamps_ms=[record.timestamp for record in records] if self._timestamps else [],
            value_bytes=sum(len(record.value) for record in records),
        )

    def close(self) -> None:
        self._consumer.close()
