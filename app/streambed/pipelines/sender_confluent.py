"""confluent-kafka (librdkafka) as a sender: batches and sends in C threads."""

import functools
import json
import time
from collections.abc import Mapping
from typing import Any

from streambed.pipelines import kafka_access, kafka_client
from streambed.pipelines.errors import ServiceError
from streambed.pipelines.senders import (
    OnAck,
    Requests,
    SenderConfig,
    Tally,
    given,
    not_in_time,
    too_slow,
)

STATISTICS_EVERY_MS = 500


class ConfluentSender:
    """confluent-kafka (librdkafka): batches and sends in C threads."""

    def __init__(self, bootstrap: str, topic: str, config: SenderConfig, deadline_s: float) -> None:
        from confluent_kafka import KafkaException, Producer

        batch = config.batch_bytes

        self.tally = Tally(wall_deadline=time.time() + deadline_s)
        self._bootstrap, self._topic = bootstrap, topic
        self._requests = Requests()
        settings = {
            **kafka_client.settings(bootstrap, kafka_access.PRODUCER),
            **given(
                {
                    "acks": config.acks,
                    "enable.idempotence": config.idempotence,
                    "linger.ms": config.linger_ms,
                    "batch.size": batch,
                    "batch.num.messages": None if batch is None else 100_000,
                    "message.max.bytes": None if batch is None else max(batch * 2, 1_000_000),
                }
            ),
            "compression.type": config.compression,
            "queue.buffering.max.kbytes": max(1, config.queue_bytes // 1024),
            "queue.buffering.max.messages": 1_000_000,
            "message.timeout.ms": int(deadline_s * 1000),
            "on_delivery": self._delivered,
            "error_cb": self._in_trouble,
            **(self._counting() if config.statistics else {}),
        }
        try:
            self._producer = Producer(settings)
        except KafkaException as error:
            raise ServiceError(
                f"confluent-kafka refuses its settings: {error.args[0].str()}"
            ) from None
        # Looked up once: this is called for every image.
        self._produce = self._producer.produce
        self._poll = self._producer.poll

    def _counting(self) -> dict[str, Any]:
        return {"statistics.interval.ms": STATISTICS_EVERY_MS, "stats_cb": self._counted}

    def _counted(self, statistics: str) -> None:
        self._requests = requests_of(json.loads(statistics), self._topic, self._requests)

    def requests(self) -> Requests:
        return self._requests

    def _in_trouble(self, error: Any) -> None:
        """The library goes on trying; it names the broker, but when it speaks of all of them."""
        if error.code() != error._ALL_BROKERS_DOWN:  # noqa: SLF001 (the library's name for it)
            self.tally.trouble = error.str()

    def _delivered(self, error: Any, _message: Any) -> None:
        tally = self.tally
        if error is None:
            tally.acked += 1
            tally.last_ack_at = time.time()
            return
        tally.failed += 1
        tally.first_failure = tally.first_failure or str(error)

    def _acknowledged(self, called_at: float, on_ack: OnAck, error: Any, message: Any) -> None:
        self._delivered(error, message)
        if error is None:
            # librdkafka's own measurement: this callback runs only when somebody polls.
            on_ack(called_at + message.latency())

    @property
    def client(self) -> str:
        return kafka_client.client()

    def partitions(self) -> int:
        return kafka_client.partitions_of(self._producer, self._bootstrap, self._topic)

    def leaders(self) -> list[str]:
        return kafka_client.leaders_of(self._producer, self._bootstrap, self._topic)

    def send(
        self,
        value: bytes,
        key: bytes,
        partition: int,
        timestamp_ms: int,
        on_ack: OnAck | None = None,
    ) -> None:
        if not self._queued(value, key, partition, timestamp_ms, on_ack):
            self._wait_for_room(value, key, partition, timestamp_ms, on_ack)
        self.tally.sent += 1

    def _queued(
        self, value: bytes, key: bytes, partition: int, timestamp_ms: int, on_ack: OnAck | None
    ) -> bool:
        """Hand a record to the library; False when its queue is full."""
        told: dict[str, Any] = {}
        if on_ack is not None:
            told["on_delivery"] = functools.partial(self._acknowledged, time.time(), on_ack)
        try:
            self._produce(
                self._topic,
                value=value,
                key=key,
                partition=partition,
                timestamp=timestamp_ms,
                **told,
            )
        except BufferError:
            return False
        return True

    def _wait_for_room(
        self, value: bytes, key: bytes, partition: int, timestamp_ms: int, on_ack: OnAck | None
    ) -> None:
        began = time.time()
        try:
            while True:
                self._poll(0.02)
                if self._queued(value, key, partition, timestamp_ms, on_ack):
                    return
                now = time.time()
                if now > self.tally.wall_deadline:
                    raise ServiceError(too_slow(self.tally))
                self.tally.blocked_s += now - began
                began = now
        finally:
            self.tally.blocked_s += time.time() - began

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
            self.tally.first_failure = self.tally.first_failure or not_in_time(self.tally)


def requests_of(statistics: Mapping[str, Any], topic: str, before: Requests) -> Requests:
    """From librdkafka's statistics: totals since the start, and batches of the last interval.

    Args:
        statistics: as STATISTICS.md of librdkafka describes them.
        topic: the one that is sent to.
        before: what the statistics before said; kept where these have nothing.
    """
    brokers = statistics["brokers"].values()
    sent = sum(int(broker["req"].get("Produce", 0)) for broker in brokers)
    if not sent:
        return before
    batches = statistics["topics"].get(topic, {}).get("batchsize", {})
    # Requests of other kinds are few, and always answered.
    answers = sum(int(broker["rx"]) for broker in brokers)
    return Requests(
        records_per_request=statistics["txmsgs"] / sent,
        batch_bytes=batches["avg"] if batches.get("cnt") else before.batch_bytes,
        answered=answers > sent / 2,
        idempotent=int(statistics.get("eos", {}).get("producer_id", -1)) >= 0,
    )
