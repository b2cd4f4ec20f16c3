"""What a producer asks of a Kafka client, whichever library it is of.

Every sender bounds what waits locally, counts only what a broker acknowledged, and tells how long
it had to wait for room: a full queue means that the link, or the broker, is the limit.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

CONFLUENT, KAFKA_PYTHON, PLAIN = "confluent-kafka", "kafka-python", "kafka-python-plain"
NAMES = (CONFLUENT, KAFKA_PYTHON, PLAIN)
"""PLAIN: kafka-python as it is without its crc32c extra."""


@dataclass(frozen=True)
class SenderConfig:
    """Batching and safety of a producer; sizes in bytes, times in milliseconds.

    None leaves a setting to the client library's own default.

    `queue_bytes` bounds what may wait for the link. Half a second of 100 Mbit/s keeps the link
    busy while a quota of 0.4 CPU stops the process, and is drained in seconds at 10 Mbit/s.

    `idempotence` is off by default: librdkafka 2.16's sender spins when five requests are under
    way, which took 0.35 CPU at any rate and throttled a client of 0.4 CPU to 11,000 images/s;
    without it, 0.11 CPU and 0.97 of the link. An image doubled by a retry is counted by its id.

    `statistics`: let the library count its requests, where it does so on demand only.
    """

    acks: str | None = "all"
    idempotence: bool | None = False
    linger_ms: float | None = 10.0
    batch_bytes: int | None = 262_144
    compression: str = "none"
    queue_bytes: int = 4_194_304
    statistics: bool = False

    def __post_init__(self) -> None:
        if self.acks not in (None, "0", "1", "all"):
            raise ValueError(f"acks is {self.acks!r}; allowed: '0', '1', 'all'")
        if self.idempotence and self.acks not in (None, "all"):
            raise ValueError("idempotence needs acks 'all'")
        sizes = (self.batch_bytes, self.queue_bytes)
        if any(size is not None and size <= 0 for size in sizes) or (self.linger_ms or 0) < 0:
            raise ValueError("batch_bytes and queue_bytes must be > 0, linger_ms >= 0")


@dataclass
class Tally:
    """What became of the records so far."""

    sent: int = 0
    acked: int = 0
    failed: int = 0
    blocked_s: float = 0.0
    last_ack_at: float | None = None
    first_failure: str = ""
    trouble: str = ""
    """What the library said last of a broker that it cannot reach, where it says so."""
    wall_deadline: float = field(default=float("inf"))


OnAck = Callable[[float], None]
"""Called once a record is acknowledged, with the unix time at which the client had the answer."""


@dataclass(frozen=True)
class Requests:
    """How the library grouped records, by its own count; None where it does not tell."""

    records_per_request: float | None = None
    batch_bytes: float | None = None
    """Of one partition's batch within a request."""
    answered: bool | None = None
    """Whether brokers answered them: not those that ask for no acknowledgement."""
    idempotent: bool | None = None
    """Whether the producer has an id by which brokers drop what is sent again."""


class Sender(Protocol):
    """Hands records to a broker."""

    tally: Tally

    def requests(self) -> Requests:
        """How records were grouped; after `finish`."""

    @property
    def client(self) -> str:
        """Name and version of the library that sends."""

    def leaders(self) -> list[str]:
        """host:port of the brokers that lead the topic's partitions, as this client sees them."""

    def partitions(self) -> int:
        """Partitions of the topic; raises ServiceError when it cannot be reached."""

    def send(
        self,
        value: bytes,
        key: bytes,
        partition: int,
        timestamp_ms: int,
        on_ack: OnAck | None = None,
    ) -> None:
        """Queue one record, waiting for room; raises ServiceError at the deadline."""

    def idle(self, seconds: float) -> None:
        """Wait, at most that long, while handling acknowledgements."""

    def finish(self) -> None:
        """Wait until every record is acknowledged or failed, or the deadline has come."""


def create(
    name: str,
    bootstrap: str,
    topic: str,
    config: SenderConfig,
    deadline_s: float,
) -> Sender:
    """The sender called `name`; `deadline_s` counts from now."""
    from streambed.pipelines import checksum
    from streambed.pipelines.sender_confluent import ConfluentSender
    from streambed.pipelines.sender_kafka_python import KafkaPythonSender

    if name == PLAIN:
        checksum.without_extra()
    kind = ConfluentSender if name == CONFLUENT else KafkaPythonSender
    return kind(bootstrap, topic, config, deadline_s)


def given(settings: dict[str, Any]) -> dict[str, Any]:
    """Without those that are left to the library."""
    return {name: value for name, value in settings.items() if value is not None}


def too_slow(tally: Tally) -> str:
    """Why a producer gives up at its deadline, in words."""
    known = tally.first_failure or tally.trouble
    return (
        f"the deadline has come with {tally.sent} images sent and {tally.acked} acknowledged: "
        "the link or the broker is slower than expected" + (f" ({known})" if known else "")
    )


def not_in_time(tally: Tally) -> str:
    """Why records were not acknowledged before the deadline, in words."""
    return "not acknowledged in time" + (f" ({tally.trouble})" if tally.trouble else "")
