"""The two Kafka clients a producer can use, behind one small interface.

Both bound what waits locally, count only what a broker acknowledged, and tell how long they had to
wait for room: a full queue means that the link, or the broker, is the limit.
"""

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Protocol

from streambed.pipelines import kafka_client
from streambed.pipelines.errors import ServiceError

NAMES = ("confluent-kafka", "kafka-python")


@dataclass(frozen=True)
class SenderConfig:
    """Batching and safety of a producer; sizes in bytes, times in milliseconds.

    `queue_bytes` bounds what may wait for the link. Half a second of 100 Mbit/s keeps the link
    busy while a quota of 0.4 CPU stops the process, and is drained in seconds at 10 Mbit/s.

    `idempotence` is off by default: librdkafka 2.16's sender spins when five requests are under
    way, which took 0.35 CPU at any rate and throttled a client of 0.4 CPU to 11,000 images/s;
    without it, 0.11 CPU and 0.97 of the link. An image doubled by a retry is counted by its id.
    """

    acks: str = "all"
    idempotence: bool = False
    linger_ms: float = 10.0
    batch_bytes: int = 262_144
    compression: str = "none"
    queue_bytes: int = 4_194_304

    def __post_init__(self) -> None:
        if self.acks not in ("0", "1", "all"):
            raise ValueError(f"acks is {self.acks!r}; allowed: '0', '1', 'all'")
        if self.idempotence and self.acks != "all":
            raise ValueError("idempotence needs acks 'all'")
        if self.batch_bytes <= 0 or self.queue_bytes <= 0 or self.linger_ms < 0:
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
    wall_deadline: float = field(default=float("inf"))


class Sender(Protocol):
    """Hands records to a broker."""

    tally: Tally

    def partitions(self) -> int:
        """Partitions of the topic; raises ServiceError when it cannot be reached."""

    def send(self, value: bytes, key: bytes, partition: int, timestamp_ms: int) -> None:
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
    security: dict[str, Any],
    deadline_s: float,
) -> Sender:
    """The sender called `name`; `deadline_s` counts from now."""
    kind = ConfluentSender if name == "confluent-kafka" else KafkaPythonSender
    return kind(bootstrap, topic, config, security, deadline_s)


class ConfluentSender:
    """confluent-kafka (librdkafka): batches and sends in C threads."""

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        config: SenderConfig,
        security: dict[str, Any],
        deadline_s: float,
    ) -> None:
        from confluent_kafka import Producer

        self.tally = Tally(wall_deadline=time.time() + deadline_s)
        self._topic = topic
        self._producer = Producer(
            {
                **kafka_client.settings(bootstrap, security),
                "acks": config.acks,
                "enable.idempotence": config.idempotence,
                "linger.ms": config.linger_ms,
                "batch.size": config.batch_bytes,
                "batch.num.messages": 100_000,
                "message.max.bytes": max(config.batch_bytes * 2, 1_000_000),
                "compression.type": config.compression,
                "queue.buffering.max.kbytes": max(1, config.queue_bytes // 1024),
                "queue.buffering.max.messages": 1_000_000,
                "message.timeout.ms": int(deadline_s * 1000),
                "on_delivery": self._delivered,
            }
        )
        # Looked up once: this is called for every image.
        self._produce = self._producer.produce
        self._poll = self._producer.poll

    def _delivered(self, error: Any, _message: Any) -> None:
        tally = self.tally
        if error is None:
            tally.acked += 1
            tally.last_ack_at = time.time()
            return
        tally.failed += 1
        tally.first_failure = tally.first_failure or str(error)

    def partitions(self) -> int:
        return kafka_client.partitions_of(self._producer, self._topic)

    def send(self, value: bytes, key: bytes, partition: int, timestamp_ms: int) -> None:
        try:
            self._produce(
                self._topic, value=value, key=key, partition=partition, timestamp=timestamp_ms
            )
        except BufferError:
            self._wait_for_room(value, key, partition, timestamp_ms)
        self.tally.sent += 1

    def _wait_for_room(self, value: bytes, key: bytes, partition: int, timestamp_ms: int) -> None:
        began = time.time()
        while True:
            self._poll(0.02)
            try:
                self._produce(
                    self._topic, value=value, key=key, partition=partition, timestamp=timestamp_ms
                )
                break
            except BufferError:
                if time.time() > self.tally.wall_deadline:
                    raise ServiceError(_too_slow(self.tally)) from None
            finally:
                now = time.time()
                self.tally.blocked_s += now - began
                began = now

    def idle(self, seconds: float) -> None:
        # poll returns at the first report; the rest of the pause must be kept, or a paced
        # producer would spin on acknowledgements.
        until = time.monotonic() + seconds
        self._poll(0)
        left = until - time.monotonic()
        if left > 0:
            time.sleep(left)

    def finish(self) -> None:
        self._producer.flush(max(0.0, self.tally.wall_deadline - time.time()))
        # What is still queued now will never be told of: it counts as failed.
        unresolved = self.tally.sent - self.tally.acked - self.tally.failed
        if unresolved:
            self.tally.failed += unresolved
            self.tally.first_failure = self.tally.first_failure or "not acknowledged in time"


class KafkaPythonSender:
    """kafka-python: pure Python, with its crc32c extra; it queues without limit, so we bound it."""

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        config: SenderConfig,
        security: dict[str, Any],
        deadline_s: float,
    ) -> None:
        from kafka import KafkaProducer
        from kafka.errors import KafkaError

        self.tally = Tally(wall_deadline=time.time() + deadline_s)
        self._topic = topic
        self._queue_bytes = config.queue_bytes
        self._waiting_bytes = 0
        self._waiting: deque[tuple[Any, int]] = deque()
        try:
            self._producer = KafkaProducer(
                bootstrap_servers=bootstrap.split(","),
                acks=config.acks if config.acks == "all" else int(config.acks),
                enable_idempotence=config.idempotence,
                linger_ms=config.linger_ms,
                batch_size=config.batch_bytes,
                max_request_size=max(config.batch_bytes * 2, 1_048_576),
                compression_type=None if config.compression == "none" else config.compression,
                delivery_timeout_ms=int(max(deadline_s * 1000, 30_000 + config.linger_ms)),
                allow_auto_create_topics=False,
                **security,
            )
        except (KafkaError, ValueError) as error:
            raise ServiceError(f"Kafka does not answer: {error}") from None

    def partitions(self) -> int:
        found = self._producer.partitions_for(self._topic)
        if not found:
            raise ServiceError(f"topic {self._topic!r} does not exist")
        return len(found)

    def send(self, value: bytes, key: bytes, partition: int, timestamp_ms: int) -> None:
        size = len(value) + len(key)
        if self._waiting_bytes + size > self._queue_bytes:
            self._settle()
            if self._waiting_bytes + size > self._queue_bytes:
                self._wait_for_room(size)
        future = self._producer.send(
            self._topic, value=value, key=key, partition=partition, timestamp_ms=timestamp_ms
        )
        self._waiting.append((future, size))
        self._waiting_bytes += size
        self.tally.sent += 1

    def _settle(self) -> None:
        """Count the records whose fate is known; a slow partition delays only the counting."""
        tally, waiting = self.tally, self._waiting
        while waiting and waiting[0][0].is_done:
            future, size = waiting.popleft()
            self._waiting_bytes -= size
            if future.succeeded():
                tally.acked += 1
            else:
                tally.failed += 1
                tally.first_failure = tally.first_failure or str(future.exception)
            tally.last_ack_at = time.time()

    def _wait_for_room(self, size: int) -> None:
        began = time.time()
        while self._waiting and self._waiting_bytes + size > self._queue_bytes:
            time.sleep(0.002)
            self._settle()
            if time.time() > self.tally.wall_deadline:
                self.tally.blocked_s += time.time() - began
                raise ServiceError(_too_slow(self.tally))
        self.tally.blocked_s += time.time() - began

    def idle(self, seconds: float) -> None:
        self._settle()
        time.sleep(seconds)

    def finish(self) -> None:
        while self._waiting and time.time() < self.tally.wall_deadline:
            self._settle()
            time.sleep(0.002)
        if self._waiting:
            self.tally.failed += len(self._waiting)
            self.tally.first_failure = self.tally.first_failure or "not acknowledged in time"
            self._waiting.clear()
        self._producer.close(timeout=1)


def _too_slow(tally: Tally) -> str:
    return (
        f"the deadline has come with {tally.sent} images sent and {tally.acked} acknowledged: "
        "the link or the broker is slower than expected"
        + (f" ({tally.first_failure})" if tally.first_failure else "")
    )
