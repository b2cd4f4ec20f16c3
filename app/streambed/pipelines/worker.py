"""What a Spark task does with its images: Arrow batches in, packed result records out.

Records that are no images, and images that the model fails on, come out as dead letters.
"""

import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from streambed.pipelines import dead_letters, model_files, records
from streambed.pipelines.dead_letters import Malformed
from streambed.pipelines.way import Way

RESULT_SCHEMA = "value binary, topic string"
"""Each message names the topic that the Kafka sink writes it to."""
ADDRESS = "SPARK_LOCAL_IP"
"""Where an executor's processes find the address of their node: role spark's environment of it."""


def columns(image_bytes: int, timestamp: str = "`timestamp`") -> tuple[str, ...]:
    """What is read of a record, as Spark SQL.

    Of a value that is no image of `image_bytes` bytes, only the beginning and the size: a batch
    of records as large as the broker takes them would not fit a Python worker.
    """
    head = min(dead_letters.HEAD_BYTES, image_bytes - 1)
    return (
        f"substring(key, 1, {dead_letters.HEAD_BYTES}) AS key",
        f"IF(length(value) = {image_bytes}, value, substring(value, 1, {head})) AS value",
        "length(value) AS size",
        *("`partition`", "`offset`", timestamp),
        "headers IS NOT NULL AS headed",
    )


def images_of(column: Any, image_bytes: int) -> npt.NDArray[np.uint8]:
    """The binary Arrow `column` as uint8[n, image_bytes], without a copy.

    Raises Malformed when a value has another length, or is null.
    """
    offsets = _fixed(column, np.int32, 1, extra=1)
    if column.null_count or (np.diff(offsets) != image_bytes).any():
        raise Malformed(
            f"an image has not the {image_bytes} bytes that the model takes: lengths "
            f"{sorted(set(np.diff(offsets).tolist()))}, nulls {column.null_count}"
        )
    data = np.frombuffer(column.buffers()[2], np.uint8)[offsets[0] : offsets[-1]]
    return data.reshape(len(column), image_bytes)


def ids_of(column: Any) -> npt.NDArray[np.uint64]:
    """The keys (8-byte big-endian) as uint64[n]."""
    return images_of(column, 8).reshape(-1).view(">u8").astype(np.uint64)


def _fixed(column: Any, dtype: Any, buffer: int, extra: int = 0) -> npt.NDArray[Any]:
    values = np.frombuffer(column.buffers()[buffer], dtype)
    return values[column.offset : column.offset + len(column) + extra]


@dataclass(frozen=True)
class Images:
    """What a model is called with, and what its results are known by.

    `pixels` uint8[n, image_bytes]; `ids` uint64[n]; `intended_ms` int64[n], unix milliseconds;
    `partition` int32[n] and `offset` int64[n] of the source topic.
    """

    pixels: npt.NDArray[np.uint8]
    ids: npt.NDArray[np.uint64]
    intended_ms: npt.NDArray[np.int64]
    partition: npt.NDArray[np.int32]
    offset: npt.NDArray[np.int64]
    received_at: float
    from_rows: bool = False


def unpacked(batch: Any, image_bytes: int) -> Images:
    """The images of an Arrow batch with `columns`, without a copy of the pixels.

    Raises Malformed when it has a record that is none.
    """
    received_at = time.time()
    if batch.column("headed").true_count:
        raise Malformed("a record has headers, which no image of ours has")
    return Images(
        pixels=images_of(batch.column("value"), image_bytes),
        ids=ids_of(batch.column("key")),
        intended_ms=_fixed(batch.column("timestamp"), np.int64, 1) // 1000,
        partition=_fixed(batch.column("partition"), np.int32, 1),
        offset=_fixed(batch.column("offset"), np.int64, 1),
        received_at=received_at,
    )


def classify(
    model: Any, images: Images, batch_id: int, attempt: int, model_tag: int = 0
) -> Iterator[records.Record]:
    """One call of the model; its results in one record, or in a few that fit a message."""
    began = time.perf_counter()
    labels = np.asarray(model.predict(images.pixels))
    compute_s = time.perf_counter() - began
    count = len(images.pixels)
    if labels.shape != (count,):
        raise ValueError(
            f"predict gave shape {labels.shape} for {count} images; allowed: one label each"
        )
    for begin in range(0, count, records.MOST_IMAGES):
        part = slice(begin, min(begin + records.MOST_IMAGES, count))
        partition, offset = images.partition[part], images.offset[part]
        one_partition = bool((partition == partition[0]).all())
        yield records.Record(
            ids=images.ids[part],
            intended_ms=images.intended_ms[part],
            labels=labels[part].astype(np.int32),
            partition=int(partition[0]) if one_partition else -1,
            first_offset=int(offset.min()),
            last_offset=int(offset.max()),
            batch_id=batch_id,
            received_at=images.received_at,
            compute_s=compute_s * len(partition) / count,
            worker=os.getpid(),
            attempt=attempt,
            model=model_tag,
            from_rows=images.from_rows,
            node=records.node_tag(os.environ.get(ADDRESS)),
        )


class ShapedModel:
    """A model that is called with images in their own shape.

    With `one_call` a network of ours gets them all at once, and not in parts that fit a cache.
    """

    def __init__(
        self, model: model_files.Model, image_shape: tuple[int, ...], *, one_call: bool = False
    ) -> None:
        self._model = model
        self._image_shape = image_shape
        self._one_call = one_call and hasattr(model, "batch_images")
        self.image_bytes = int(np.prod(image_shape, dtype=np.int64))

    def predict(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.int32]:
        """Labels for images uint8[n, image_bytes]."""
        if self._one_call:
            self._model.batch_images = len(images)  # type: ignore[attr-defined]
        return self._model.predict(images.reshape(len(images), *self._image_shape))


@dataclass(frozen=True)
class Outlets:
    """The topics that a task's messages go to."""

    results: str
    dead_letters: str


class Classify:
    """The function given to `mapInArrow`; `files` is a Spark broadcast of the model's files.

    `batch_id` is needed outside of a streaming query, which knows its own.
    """

    def __init__(
        self,
        key: str,
        image_shape: tuple[int, ...],
        files: Any,
        outlets: Outlets,
        way: Way | None = None,
        batch_id: int | None = None,
    ) -> None:
        self.key = key
        self.image_shape = image_shape
        self.outlets = outlets
        self._files = files
        self.way = way or Way()
        self._batch_id = batch_id

    @property
    def columns(self) -> tuple[str, ...]:
        """What is read of a record, as Spark SQL."""
        return columns(math.prod(self.image_shape))

    def __call__(self, batches: Iterator[Any]) -> Iterator[Any]:
        from pyspark import TaskContext

        task = TaskContext.get()
        batch_id = self._batch_id
        if batch_id is None:
            batch_id = int((task and task.getLocalProperty("streaming.sql.batchId")) or -1)
        return self.run(batches, batch_id, task.attemptNumber() if task else 0)

    def model(self) -> ShapedModel:
        """What classifies, built once per process."""
        built = model_files.cached(self.key, lambda: self._files.value)
        return ShapedModel(built, self.image_shape, one_call=self.way.one_call)

    def run(self, batches: Iterator[Any], batch_id: int, attempt: int) -> Iterator[Any]:
        """An Arrow batch of one result record for each call of the model (or few, see classify).

        And one of dead letters, where there are some.
        """
        model = self.model()
        for batch in _joined(batches) if self.way.one_call else batches:
            if not len(batch):
                continue
            try:
                images = unpacked(batch, model.image_bytes)
            except Malformed:
                good, letters = dead_letters.sort_out(batch, model.image_bytes)
                yield self._messages(letters, self.outlets.dead_letters)
                if not len(good):
                    continue
                images = unpacked(good, model.image_bytes)
            results, letters = self.outcome(model, images, batch_id, attempt)
            for result in results:
                yield self._messages([result], self.outlets.results)
            if letters:
                yield self._messages(letters, self.outlets.dead_letters)

    def outcome(
        self, model: ShapedModel, images: Images, batch_id: int, attempt: int
    ) -> tuple[list[bytes], list[bytes]]:
        """Encoded result records of one call of the model, or the letters that tell of its failure.

        A user's model may fail in any way on some images; the others need not wait for it.
        """
        tag = records.model_tag(self.key)
        try:
            made = [records.encode(r) for r in classify(model, images, batch_id, attempt, tag)]
        except MemoryError:
            raise
        # `sys.exit` in a model would end this process, and with every try of the task the query.
        except (Exception, SystemExit) as error:  # noqa: BLE001
            reason = f"{dead_letters.MODEL}: {error!r}"
            return [], list(dead_letters.of_many(reason, images.partition, images.offset))
        return made, []

    @staticmethod
    def _messages(values: list[bytes], topic: str) -> Any:
        columns = [pa.array(values, pa.binary()), pa.array([topic] * len(values), pa.string())]
        return pa.RecordBatch.from_arrays(columns, ["value", "topic"])


def _joined(batches: Iterator[Any]) -> Iterator[Any]:
    """All batches as one; as few as Arrow's 2 GiB of a binary column allow."""
    kept = [batch for batch in batches if len(batch)]
    if kept:
        yield from pa.Table.from_batches(kept).combine_chunks().to_batches()
