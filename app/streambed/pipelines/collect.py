"""`collect`: read the result topic, account for every id, and keep the raw figures.

Completion is detected here, from counts: event `complete` goes out the moment the last expected id
has a result. Then, and until the command `finish`, late duplicates are still counted.
"""

import tempfile
import time
from array import array
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streambed.pipelines import answers, datasets, dead_letters, kafka_access, kafka_client
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
    `dead_letter_topic`: also tell how many records were set aside there, and why, and keep the
    letters beside `raw_path`, the first 10,000 of them.
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
    dead_letter_topic: str | None = None

    def __post_init__(self) -> None:
        if self.count < 1 or self.first_id < 0:
            raise ValueError("count must be >= 1 and first_id >= 0")


RECORD_COLUMNS = {
    "append_ms": "q",
    "count": "i",
    "partition": "i",
    "first_offset": "q",
    "last_offset": "q",
    "batch_id": "q",
    "received_at": "d",
    "compute_s": "d",
    "worker": "q",
    "attempt": "q",
    "node": "I",
    "topic_partition": "i",
    "topic_offset": "q",
}
"""What is kept of each result record, with its type in the words of `array`."""

IMAGE_COLUMNS = {"id": "<u8", "intended_ms": "<i8", "label": "<i4"}
"""What is kept of each image, with its type in NumPy's."""


class Samples:
    """Everything raw, in the order of arrival.

    What there is of each image goes to files without a name: in memory half an hour of it would
    look like a leak of the bed's.

    Args:
        directory: where there is room.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._records: dict[str, array[Any]] = {
            name: array(kind) for name, kind in RECORD_COLUMNS.items()
        }
        self._images = {
            name: tempfile.TemporaryFile(dir=directory)  # noqa: SIM115 (`raw_arrays` closes them)
            for name in IMAGE_COLUMNS
        }
        self.models: set[int] = set()
        self.nodes: set[int] = set()
        self.conversions: set[str] = set()

    def __len__(self) -> int:
        return len(self._records["count"])

    def add(self, record: Record, **where: int) -> None:
        """Enter a record; `where`: append_ms, topic_partition and topic_offset."""
        for name, column in self._records.items():
            if name == "count":
                column.append(len(record))
            else:
                column.append(where[name] if name in where else getattr(record, name))
        for name, values in (
            ("id", record.ids),
            ("intended_ms", record.intended_ms),
            ("label", record.labels),
        ):
            self._images[name].write(values.astype(IMAGE_COLUMNS[name], copy=False).tobytes())
        self.models.add(record.model)
        self.nodes.add(record.node)
        self.conversions.add(ROWS if record.from_rows else ARROW)

    def save(self, path: Path) -> None:
        """Write the npz that the runner fetches; see `raw_arrays` for its arrays."""
        import numpy as np

        with path.open("wb") as out:
            arrays: dict[str, Any] = self.raw_arrays()
            np.savez_compressed(out, **arrays)

    def raw_arrays(self) -> "dict[str, npt.NDArray[Any]]":
        """Per record: record_*; per image: image_*, with image_record its record's index.

        When all is entered: nothing can be added any more.
        """
        import numpy as np

        found: dict[str, npt.NDArray[Any]] = {
            f"record_{name}": np.array(column) for name, column in self._records.items()
        }
        for name, file in self._images.items():
            with file:
                file.seek(0)
                found[f"image_{name}"] = np.fromfile(file, IMAGE_COLUMNS[name])
        indexes = np.arange(len(self), dtype=np.int32)
        found["image_record"] = np.repeat(indexes, found["record_count"])
        return found


class Collection:
    """What has been seen so far."""

    def __init__(self, spec: CollectSpec) -> None:
        self.ledger = Ledger(IdRange(spec.first_id, spec.count), tuple(spec.warm_up))
        self.samples = Samples(Path(spec.raw_path).parent)
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
        self.samples.add(
            record,
            append_ms=append_ms,
            topic_partition=message.partition(),
            topic_offset=message.offset(),
        )

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
    letters = (
        _letters(consumer, spec.bootstrap, spec.dead_letter_topic) if spec.dead_letter_topic else []
    )
    consumer.close()
    if collection.ledger.complete and not completed:
        emit("complete", **collection.counts())
    _finish(spec, collection, truth, reference, letters)


def _subscribe(spec: CollectSpec) -> "tuple[Consumer, int]":
    from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

    consumer = Consumer(
        {
            **kafka_client.settings(spec.bootstrap, kafka_access.ADMIN),
            # Partitions are assigned by hand: the group exists only because the client wants one.
            "group.id": "streambed-collect",
            "enable.auto.commit": False,
            "enable.partition.eof": False,
            "fetch.wait.max.ms": 100,
        }
    )
    partitions = kafka_client.partitions_of(consumer, spec.bootstrap, spec.result_topic)
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


def _letters(consumer: "Consumer", bootstrap: str, topic: str) -> list[bytes]:
    """What was set aside: all that the topic holds now."""
    from confluent_kafka import OFFSET_BEGINNING, TopicPartition

    letters: list[bytes] = []
    deadline = time.monotonic() + 30
    for partition in range(kafka_client.partitions_of(consumer, bootstrap, topic)):
        where = TopicPartition(topic, partition, OFFSET_BEGINNING)
        end = _end_of(consumer, where)
        consumer.assign([where])
        while end > 0 and consumer.position([where])[0].offset < end:
            messages = consumer.consume(200, POLL_S)
            letters += [each.value() or b"" for each in messages if each.error() is None]
            if time.monotonic() > deadline:
                raise ServiceError(f"dead letters up to offset {end} of {topic!r} not read")
    return letters


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
    letters: list[bytes],
) -> None:
    ledger = collection.ledger
    raw_path = Path(spec.raw_path)
    collection.samples.save(raw_path)
    letters_path = raw_path.with_suffix(".jsonl")
    if letters:
        dead_letters.keep(letters, letters_path)
    emit(
        "done",
        **collection.counts(),
        expected=spec.count,
        lost=ledger.lost,
        conflicts=ledger.conflicts,
        bad_records=collection.bad_records,
        set_aside=dead_letters.count(letters),
        letters_path=str(letters_path) if letters else None,
        mismatches=None if reference is None else ledger.mismatches(*reference),
        accuracy=ledger.correct(truth) / ledger.unique if ledger.unique else None,
        records=len(collection.samples),
        models=sorted(f"{model:016x}" for model in collection.samples.models),
        nodes=sorted(map(address_of, collection.samples.nodes)),
        conversions=sorted(collection.samples.conversions),
        stored_bytes=(
            None if spec.image_topic is None else stored_bytes(spec.bootstrap, spec.image_topic)
        ),
        raw_path=spec.raw_path,
    )


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
