"""kafka-python as a sender: pure Python, with its crc32c extra or without."""

import dataclasses
import math
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from streambed.pipelines import checksum, kafka_access
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


class KafkaPythonSender:
    """kafka-python: pure Python; it queues without limit, so we bound it."""

    def __init__(self, bootstrap: str, topic: str, config: SenderConfig, deadline_s: float) -> None:
        from kafka import KafkaProducer
        from kafka.errors import KafkaConfigurationError, KafkaError

        batch = config.batch_bytes

        self.tally = Tally(wall_deadline=time.time() + deadline_s)
        self._topic = topic
        self._queue_bytes = config.queue_bytes
        self._waiting_bytes = 0
        self._waiting: deque[tuple[Any, int]] = deque()
        self._requests = Requests()
        self._error = KafkaError
        access = kafka_access.of(bootstrap, kafka_access.PRODUCER)
        self._bootstrap = bootstrap
        try:
            self._producer = KafkaProducer(
                **access.kafka_python(),
                **given(
                    {
                        "acks": int(config.acks) if config.acks in ("0", "1") else config.acks,
                        "enable_idempotence": config.idempotence,
                        "linger_ms": config.linger_ms,
                        "batch_size": batch,
                        "max_request_size": None if batch is None else max(batch * 2, 1_048_576),
                    }
                ),
                compression_type=None if config.compression == "none" else config.compression,
                delivery_timeout_ms=int(max(deadline_s * 1000, 30_000 + (config.linger_ms or 0))),
                allow_auto_create_topics=False,
            )
        # A codec whose library is not installed, ...
        except (KafkaConfigurationError, ValueError, RuntimeError) as error:
            raise ServiceError(f"kafka-python refuses its settings: {error}") from None
        except KafkaError as error:
            raise kafka_access.unanswered(bootstrap, error) from None

    @property
    def client(self) -> str:
        return checksum.client()

    def requests(self) -> Requests:
        return self._requests

    def leaders(self) -> list[str]:
        from kafka import TopicPartition

        # The library shows the metadata that it sends by nowhere else.
        cluster = self._producer._metadata  # noqa: SLF001
        partitions = self._partitions()
        ids = {cluster.leader_for_partition(TopicPartition(self._topic, p)) for p in partitions}
        brokers = [cluster.broker_metadata(node) for node in ids]
        return sorted(f"{broker.host}:{broker.port}" for broker in brokers if broker is not None)

    def partitions(self) -> int:
        found = self._partitions()
        if not found:
            raise ServiceError(f"topic {self._topic!r} does not exist")
        return len(found)

    def _partitions(self) -> set[int]:
        try:
            return set(self._producer.partitions_for(self._topic) or ())
        except self._error as error:
            raise kafka_access.unanswered(self._bootstrap, error) from None

    def send(
        self,
        value: bytes,
        key: bytes,
        partition: int,
        timestamp_ms: int,
        on_ack: OnAck | None = None,
    ) -> None:
        size = len(value) + len(key)
        if self._waiting_bytes + size > self._queue_bytes:
            self._settle()
            if self._waiting_bytes + size > self._queue_bytes:
                self._wait_for_room(size)
        try:
            future = self._producer.send(
                self._topic, value=value, key=key, partition=partition, timestamp_ms=timestamp_ms
            )
        except self._error as error:
            raise kafka_access.unanswered(self._bootstrap, error) from None
        if on_ack is not None:
            future.add_callback(lambda _record: on_ack(time.time()))
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
                raise ServiceError(too_slow(self.tally))
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
            self.tally.first_failure = self.tally.first_failure or not_in_time(self.tally)
            self._waiting.clear()
        # The library forgets them when it is closed.
        self._requests = dataclasses.replace(
            requests_of(self._producer.metrics()),
            answered=self._producer.config["acks"] != 0,
            idempotent=bool(self._producer.config["enable_idempotence"]),
        )
        self._producer.close(timeout=1)


def requests_of(metrics: Mapping[str, Mapping[str, float]]) -> Requests:
    """From kafka-python's metrics: averages over the last 30 to 60 s."""
    found = metrics.get("producer-metrics", {})

    def known(name: str) -> float | None:
        value = found.get(name, math.nan)
        return float(value) if math.isfinite(value) else None

    return Requests(known("records-per-request-avg"), known("batch-size-avg"))
