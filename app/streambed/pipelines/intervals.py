"""Batching `interval`: a batch is exactly what arrived in one interval, and batches queue in order.

This is what Spark's DStreams did; today's Spark reads Kafka only through DataFrames. So the driver
cuts the offsets of the topic at every whole multiple of the interval since the epoch, whether or
not it is busy, and runs one batch read per cut, one after the other.
"""

import json
import math
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

from streambed.pipelines import spark_session
from streambed.pipelines.errors import ServiceError
from streambed.pipelines.protocol import Commands, emit

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

POLL_S = 0.2
OFFSETS_TIMEOUT_S = 20

Offsets = Mapping[int, int]
"""Partition → offset."""


@dataclass(frozen=True)
class Slice:
    """What arrived in one interval: offsets in [start, end) of each partition.

    `due_at` is the tick that ended the interval, `cut_at` when its offsets were known.
    """

    batch_id: int
    due_at: float
    cut_at: float
    start: Offsets
    end: Offsets

    @property
    def images(self) -> int:
        """Records in it."""
        return sum(self.end[partition] - self.start[partition] for partition in self.end)


class Ends(Protocol):
    """Where a topic ends."""

    def start(self) -> Offsets:
        """The first offset of each partition."""

    def latest(self) -> Offsets:
        """The offset after the last record of each partition."""


def next_tick(now: float, interval_s: float) -> float:
    """The first whole multiple of the interval since the epoch that is later than `now`."""
    return (math.floor(now / interval_s + 1e-6) + 1) * interval_s


class Cutter:
    """Cuts a topic into slices, in a thread of its own, so that a busy driver delays no tick."""

    def __init__(self, ends: Ends, interval_s: float) -> None:
        self.slices: queue.Queue[Slice | ServiceError] = queue.Queue()
        self.empty_ticks = 0
        self._ends = ends
        self._interval_s = interval_s
        self._position = dict(ends.start())
        self._next_id = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cutter", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join(timeout=OFFSETS_TIMEOUT_S)

    def cut(self, due_at: float) -> None:
        """End the interval that is due now; one without images leaves no slice."""
        end = dict(self._ends.latest())
        if end == self._position:
            self.empty_ticks += 1
            return
        self.slices.put(Slice(self._next_id, due_at, time.time(), self._position, end))
        self._next_id += 1
        self._position = end

    def _run(self) -> None:
        due_at = next_tick(time.time(), self._interval_s)
        try:
            while not self._stopped.wait(max(0.0, due_at - time.time())):
                self.cut(due_at)
                # A tick that was missed belongs to the next slice.
                due_at = max(due_at + self._interval_s, next_tick(time.time(), self._interval_s))
        except ServiceError as error:
            self.slices.put(error)


class KafkaEnds:
    """The ends of a topic, asked of Kafka through the driver's own client library."""

    def __init__(self, session: "SparkSession", topic: str, settings: Mapping[str, str]) -> None:
        self._jvm: Any = session.sparkContext._jvm  # noqa: SLF001 (Kafka's classes live there)
        self._topic = topic
        properties = self._jvm.java.util.HashMap()
        for name, value in settings.items():
            properties.put(name, value)
        self._admin: Any = self._calling(
            lambda: self._jvm.org.apache.kafka.clients.admin.AdminClient.create(properties)
        )
        self._partitions = self._calling(self._look_up)

    def _look_up(self) -> dict[int, Any]:
        found = self._wait(self._admin.describeTopics([self._topic]).allTopicNames())
        kind = self._jvm.org.apache.kafka.common.TopicPartition
        count = found.get(self._topic).partitions().size()
        return {number: kind(self._topic, number) for number in range(count)}

    def start(self) -> Offsets:
        return self._offsets(self._jvm.org.apache.kafka.clients.admin.OffsetSpec.earliest())

    def latest(self) -> Offsets:
        return self._offsets(self._jvm.org.apache.kafka.clients.admin.OffsetSpec.latest())

    def close(self) -> None:
        """Let go of the connection."""
        self._calling(self._admin.close)

    def _offsets(self, spec: Any) -> Offsets:
        def ask() -> Offsets:
            request = self._jvm.java.util.HashMap()
            for partition in self._partitions.values():
                request.put(partition, spec)
            found = self._wait(self._admin.listOffsets(request).all())
            return {
                number: int(found.get(partition).offset())
                for number, partition in self._partitions.items()
            }

        offsets: Offsets = self._calling(ask)
        return offsets

    def _wait(self, future: Any) -> Any:
        return future.get(OFFSETS_TIMEOUT_S, self._jvm.java.util.concurrent.TimeUnit.SECONDS)

    def _calling(self, call: Callable[[], Any]) -> Any:
        return spark_session.calling(call, f"no offsets of topic {self._topic!r}")


def offsets_json(topic: str, offsets: Offsets) -> str:
    """Offsets as Spark's Kafka source reads them (`startingOffsets`, `endingOffsets`)."""
    return json.dumps({topic: {str(number): offset for number, offset in offsets.items()}})


def work_off(
    ends: Ends, interval_s: float, process: Callable[[Slice], None], commands: Commands
) -> tuple[int, int]:
    """Process slices in order until `stop`, and emit a `batch` for each.

    Returns how many there were, and how many intervals without images.
    """
    batches = 0
    with Cutter(ends, interval_s) as cutter:
        while not commands.received("stop"):
            try:
                part = cutter.slices.get(timeout=POLL_S)
            except queue.Empty:
                continue
            if isinstance(part, ServiceError):
                raise part
            started_at = time.time()
            spark_session.calling(lambda part=part: process(part), f"batch {part.batch_id} failed")  # type: ignore[misc]
            emit("batch", **batch_event(part, started_at, time.time()))
            batches += 1
        return batches, cutter.empty_ticks


def batch_event(part: Slice, started_at: float, finished_at: float) -> dict[str, Any]:
    """The fields of a `batch` event; `execution_s` leaves out the time since `due_at`."""
    return {
        "batch_id": part.batch_id,
        "due_at": part.due_at,
        "cut_at": part.cut_at,
        "started_at": started_at,
        "finished_at": finished_at,
        "rows": part.images,
        "execution_s": finished_at - started_at,
        "durations_s": {"queue": started_at - part.due_at},
        "start_offsets": {str(number): offset for number, offset in part.start.items()},
        "end_offsets": {str(number): offset for number, offset in part.end.items()},
        "latest_offsets": None,
    }
