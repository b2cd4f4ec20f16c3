"""`collect`: read the result topic, account for every id, and keep the raw figures.

Completion is detected here, from counts: event `complete` goes out the moment the last expected id
has a result. Then, and until the command `finish`, late duplicates are still counted.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streambed.pipelines import answers, datasets, kafka_client
from streambed.pipelines.errors import ServiceError
from streambed.pipelines.ledger import IdRange, Ledger
from streambed.pipelines.protocol import Commands, emit, say
from streambed.pipelines.records import Record, RecordError, address_of, decode
from streambed.pipelines.spec import parse
from streambed.pipelines.stored import stored_bytes
from streambed.pipelines.way import ARROW, ROWS

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from confluent_kafka import Consumer

PROGRESS_EVERY_S = 0.5
POLL_S = 0.1


@dataclass(frozen=True)
class CollectSpec:
    """Expects ids first_id ... first_id + count - 1; `warm_up` ids are known and kept apart.

    `reference` is what program `reference` wrote; a label counts as mismatch only where the
    reference's margin is at least `ambiguous_margin`. With `from_end` results that are there
    already are left out. `image_topic`: also tell what the brokers stored of it.
    """

    bootstrap: str
    result_topic: str
    count: int
    raw_path: str
    first_id: int = 0
    warm_up: list[IdRange] = field(default_factory=list)
    reference: str | None = None
    dataset: str = datasets.MNIST
    ambiguous_margin: float = answers.AMBIGUOUS_MARGIN
    from_end: bool = False
    image_topic: str | None = None
    security: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.count < 1 or self.first_id < 0:
            raise ValueError("count must be >= 1 and first_id >= 0")


@dataclass
class Samples:
    """Everything raw: one element per result record, in the order of arrival."""

    records: list[Record] = field(default_factory=list)
    append_ms: list[int] = field(default_factory=list)
    topic_partition: list[int] = field(default_factory=list)
    topic_offset: list[int] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Write the npz that the runner fetches; see `raw_arrays` for its arrays."""
        import numpy as np

        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as out:
            arrays: dict[str, Any] = self.raw_arrays()
            np.savez_compressed(out, **arrays)

    def raw_arrays(self) -> "dict[str, npt.NDArray[Any]]":
        """Per record: record_*; per image: image_*, with image_record its record's index."""
        import numpy as np

        records = self.records

        def per_image(name: str, dtype: str) -> "npt.NDArray[Any]":
            if not records:
                return np.empty(0, dtype)
            return np.concatenate([getattr(r, name) for r in records]).astype(dtype)

        counts = np.array([len(r) for r in records], np.int32)
        return {
            "record_append_ms": np.array(self.append_ms, np.int64),
            "record_count": counts,
            "record_partition": np.array([r.partition for r in records], np.int32),
            "record_first_offset": np.array([r.first_offset for r in records], np.int64),
            "record_last_offset": np.array([r.last_offset for r in records], np.int64),
            "record_batch_id": np.array([r.batch_id for r in records], np.int64),
            "record_received_at": np.array([r.received_at for r in records], np.float64),
            "record_compute_s": np.array([r.compute_s for r in records], np.float64),
            "record_worker": np.array([r.worker for r in records], np.int64),
            "record_attempt": np.array([r.attempt for r in records], np.int64),
            "record_node": np.array([r.node for r in records], np.uint32),
            "record_topic_partition": np.array(self.topic_partition, np.int32),
            "record_topic_offset": np.array(self.topic_offset, np.int64),
            "image_id": per_image("ids", "u8"),
            "image_intended_ms": per_image("intended_ms", "i8"),
            "image_label": per_image("labels", "i4"),
            "image_record": np.repeat(np.arange(len(records), dtype=np.int32), counts),
        }


class Collection:
    """What has been seen so far."""

    def __init__(self, spec: CollectSpec) -> None:
        self.ledger = Ledger(IdRange(spec.first_id, spec.count), tuple(spec.warm_up))
        self.samples = Samples()
        self.first_result_ms: int | None = None
        self.first_append_ms: int | None = None
        self.last_append_ms: int | None = None
        self.bad_records = 0

    def add(self, message: Any) -> None:
        """Enter one message of the result topic."""
        try:
            record = decode(message.value() or b"")
        except RecordError as error:
            self.bad_records += 1
            say(f"offset {message.offset()}: {error}")
            return
        append_ms = int(message.timestamp()[1])
        if self.first_result_ms is None or append_ms < self.first_result_ms:
            self.first_result_ms = append_ms
        if self.ledger.add(record.ids, record.labels):
            # Partitions are read one after the other, so arrival order is not append order.
            self.first_append_ms = min(append_ms, self.first_append_ms or append_ms)
            self.last_append_ms = max(append_ms, self.last_append_ms or append_ms)
        self.samples.records.append(record)
        self.samples.append_ms.append(append_ms)
        self.samples.topic_partition.append(message.partition())
        self.samples.topic_offset.append(message.offset())

    def counts(self) -> dict[str, Any]:
        """The fields of every event."""
        ledger = self.ledger
        return {
            "at": time.time(),
            "unique": ledger.unique,
            "duplicates": ledger.duplicates,
            "warm_up": ledger.warm_up,
            "unknown_ids": ledger.unknown,
            "first_result_at": _seconds(self.first_result_ms),
            "first_append_at": _seconds(self.first_append_ms),
            "last_append_at": _seconds(self.last_append_ms),
        }


def program(raw: dict[str, Any], commands: Commands) -> None:
    """Run `collect`: events ready, progress ..., complete, ..., done (after `finish`)."""
    spec = parse(CollectSpec, raw)
    truth = datasets.load(spec.dataset).labels
    reference = _load_reference(spec, len(truth)) if spec.reference is not None else None
    consumer, partitions = _subscribe(spec)
    collection = Collection(spec)
    emit("ready", at=time.time(), partitions=partitions)
    completed = False
    next_progress = time.monotonic() + PROGRESS_EVERY_S
    while not commands.received("finish"):
        _take(consumer, collection)
        if collection.ledger.complete and not completed:
            completed = True
            emit("complete", **collection.counts())
        if time.monotonic() >= next_progress:
            next_progress += PROGRESS_EVERY_S
            emit("progress", **collection.counts())
    _drain(consumer, spec, partitions, collection)
    consumer.close()
    if collection.ledger.complete and not completed:
        emit("complete", **collection.counts())
    _finish(spec, collection, truth, reference)


def _subscribe(spec: CollectSpec) -> "tuple[Consumer, int]":
    from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

    consumer = Consumer(
        {
            **kafka_client.settings(spec.bootstrap, spec.security),
            # Partitions are assigned by hand: the group exists only because the client wants one.
            "group.id": "streambed-collect",
            "enable.auto.commit": False,
            "enable.partition.eof": False,
            "fetch.wait.max.ms": 100,
        }
    )
    partitions = kafka_client.partitions_of(consumer, spec.result_topic)
    starts = [TopicPartition(spec.result_topic, p, OFFSET_BEGINNING) for p in range(partitions)]
    if spec.from_end:
        for start in starts:
            start.offset = _end_of(consumer, start)
    consumer.assign(starts)
    return consumer, partitions


def _end_of(consumer: "Consumer", where: Any) -> int:
    """The offset that the next message of a partition gets."""
    from confluent_kafka import KafkaException

    try:
        return int(consumer.get_watermark_offsets(where, timeout=10)[1])
    except KafkaException as error:
        raise ServiceError(f"Kafka does not answer: {error.args[0].str()}") from None


def _take(consumer: "Consumer", collection: Collection) -> int:
    """Enter what has come; returns the number of messages."""
    messages = consumer.consume(200, POLL_S)
    for message in messages:
        if message.error() is None:
            collection.add(message)
        elif not message.error().retriable():
            raise ServiceError(f"reading the result topic failed: {message.error().str()}")
    return len(messages)


def _drain(
    consumer: "Consumer", spec: CollectSpec, partitions: int, collection: Collection
) -> None:
    """Read up to the ends that the partitions have now, so that `finish` misses nothing."""
    from confluent_kafka import TopicPartition

    deadline = time.monotonic() + 30
    for partition in range(partitions):
        where = TopicPartition(spec.result_topic, partition)
        end = _end_of(consumer, where)
        while end > 0 and consumer.position([where])[0].offset < end:
            _take(consumer, collection)
            if time.monotonic() > deadline:
                raise ServiceError(f"results up to offset {end} of partition {partition} not read")


def _load_reference(
    spec: CollectSpec, images: int
) -> "tuple[npt.NDArray[np.int32], npt.NDArray[np.bool_]]":
    labels, margin = answers.read_reference(str(spec.reference), images)
    return labels, margin >= spec.ambiguous_margin


def _finish(
    spec: CollectSpec,
    collection: Collection,
    truth: "npt.NDArray[np.int32]",
    reference: "tuple[npt.NDArray[np.int32], npt.NDArray[np.bool_]] | None",
) -> None:
    ledger = collection.ledger
    collection.samples.save(Path(spec.raw_path))
    emit(
        "done",
        **collection.counts(),
        expected=spec.count,
        lost=ledger.lost,
        conflicts=ledger.conflicts,
        bad_records=collection.bad_records,
        mismatches=None if reference is None else ledger.mismatches(*reference),
        accuracy=ledger.correct(truth) / ledger.unique if ledger.unique else None,
        records=len(collection.samples.records),
        models=sorted({f"{r.model:016x}" for r in collection.samples.records}),
        nodes=sorted({address_of(r.node) for r in collection.samples.records}),
        conversions=sorted({ROWS if r.from_rows else ARROW for r in collection.samples.records}),
        stored_bytes=(
            None
            if spec.image_topic is None
            else stored_bytes(spec.bootstrap, spec.image_topic, spec.security)
        ),
        raw_path=spec.raw_path,
    )


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
