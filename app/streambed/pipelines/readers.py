"""What a consumer asks of a Kafka client, whichever library it is of.

Partitions are assigned by hand: what a consumer group would give each of its members, without the
rebalance that would otherwise be part of what is measured.
"""

from dataclasses import dataclass
from typing import Protocol

from streambed.pipelines import senders


@dataclass(frozen=True)
class Fetched:
    """Records in the order in which they came; one element each."""

    keys: list[bytes]
    partitions: list[int]
    timestamps_ms: list[int]
    """Empty unless asked for."""
    value_bytes: int
    """Of all of them together."""


class Reader(Protocol):
    """Fetches records of some partitions of a topic, from their beginning."""

    @property
    def client(self) -> str:
        """Name and version of the library that reads."""

    def topic_partitions(self) -> int:
        """Partitions of the topic."""

    def assigned(self) -> list[int]:
        """Those that this reader has, as its library says."""

    def fetch(self, timeout_s: float) -> Fetched | None:
        """What is there, at the latest after that time; None when nothing is.

        Raises:
            ServiceError: the broker refuses for good.
        """

    def close(self) -> None:
        """Leave the broker."""


def create(
    name: str,
    bootstrap: str,
    topic: str,
    partitions: list[int],
    *,
    timestamps: bool = False,
) -> Reader:
    """The reader called `name` (as senders are), of these partitions."""
    from streambed.pipelines import checksum
    from streambed.pipelines.reader_confluent import ConfluentReader
    from streambed.pipelines.reader_kafka_python import KafkaPythonReader

    if name == senders.PLAIN:
        checksum.without_extra()
    kind = ConfluentReader if name == senders.CONFLUENT else KafkaPythonReader
    return kind(bootstrap, topic, partitions, timestamps)
