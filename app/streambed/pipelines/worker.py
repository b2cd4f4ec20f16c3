"""What a Spark task does with its images: Arrow batches in, one packed result record per batch."""

import os
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from streambed.pipelines import model_files, records

RESULT_SCHEMA = "value binary"
COLUMNS = ("key", "value", "partition", "offset", "timestamp")


def images_of(column: Any, image_bytes: int) -> npt.NDArray[np.uint8]:
    """The binary Arrow `column` as uint8[n, image_bytes], without a copy.

    Raises ValueError when a value has another length, or is null.
    """
    offsets = _fixed(column, np.int32, 1, extra=1)
    if column.null_count or (np.diff(offsets) != image_bytes).any():
        raise ValueError(
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


def classify(
    model: Any, batch: Any, batch_id: int, attempt: int, model_tag: int = 0
) -> records.Record:
    """The result of one Arrow batch with `COLUMNS`."""
    received_at = time.time()
    partition = _fixed(batch.column("partition"), np.int32, 1)
    offset = _fixed(batch.column("offset"), np.int64, 1)
    timestamp_us = _fixed(batch.column("timestamp"), np.int64, 1)
    images = images_of(batch.column("value"), model.image_bytes)
    began = time.perf_counter()
    labels = np.asarray(model.predict(images))
    compute_s = time.perf_counter() - began
    if labels.shape != (len(images),):
        raise ValueError(
            f"predict gave shape {labels.shape} for {len(images)} images; allowed: one label each"
        )
    one_partition = bool((partition == partition[0]).all())
    return records.Record(
        ids=ids_of(batch.column("key")),
        intended_ms=timestamp_us // 1000,
        labels=labels.astype(np.int32),
        partition=int(partition[0]) if one_partition else -1,
        first_offset=int(offset.min()),
        last_offset=int(offset.max()),
        batch_id=batch_id,
        received_at=received_at,
        compute_s=compute_s,
        worker=os.getpid(),
        attempt=attempt,
        model=model_tag,
    )


class ShapedModel:
    """A model that is called with images in their own shape."""

    def __init__(self, model: model_files.Model, image_shape: tuple[int, ...]) -> None:
        self._model = model
        self._image_shape = image_shape
        self.image_bytes = int(np.prod(image_shape, dtype=np.int64))

    def predict(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.int32]:
        """Labels for images uint8[n, image_bytes]."""
        return self._model.predict(images.reshape(len(images), *self._image_shape))


class Classify:
    """The function given to `mapInArrow`; `files` is a Spark broadcast of the model's files."""

    def __init__(self, key: str, image_shape: tuple[int, ...], files: Any) -> None:
        self._key = key
        self._image_shape = image_shape
        self._files = files

    def __call__(self, batches: Iterator[Any]) -> Iterator[Any]:
        from pyspark import TaskContext

        task = TaskContext.get()
        batch_id = int((task and task.getLocalProperty("streaming.sql.batchId")) or -1)
        return self.run(batches, batch_id, task.attemptNumber() if task else 0)

    def run(self, batches: Iterator[Any], batch_id: int, attempt: int) -> Iterator[Any]:
        """One Arrow batch with one result record for each of `batches` that has images."""
        model = ShapedModel(
            model_files.cached(self._key, lambda: self._files.value), self._image_shape
        )
        tag = records.model_tag(self._key)
        for batch in batches:
            if len(batch):
                message = records.encode(classify(model, batch, batch_id, attempt, tag))
                yield pa.RecordBatch.from_arrays([pa.array([message], pa.binary())], ["value"])
