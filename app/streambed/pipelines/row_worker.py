"""Conversion `rows`: a Spark task gets its images as Python objects, and converts them one by one.

This is how Spark Streaming's Python API handed out Kafka's records: each is pickled by the JVM,
unpickled, turned into an array of its own, and the arrays are stacked for the model.
"""

import itertools
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from streambed.pipelines import records, worker

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

COLUMNS = ("key", "value", "partition", "offset", "unix_millis(timestamp) AS intended_ms")
"""What a row has, as Spark SQL; a time as a number, since nobody asks for a calendar."""


class ClassifyRows:
    """The function given to `RDD.mapPartitions`; gives the rows of the result topic."""

    def __init__(self, task: worker.Classify, batch_id: int) -> None:
        self._task = task
        self._batch_id = batch_id

    def __call__(self, rows: Iterator[Any]) -> Iterator[tuple[bytes]]:
        from pyspark import TaskContext

        task = TaskContext.get()
        return self.run(rows, task.attemptNumber() if task else 0)

    def run(self, rows: Iterator[Any], attempt: int) -> Iterator[tuple[bytes]]:
        """One call of the model for all rows, or for each chunk of them."""
        model, tag = self._task.model(), records.model_tag(self._task.key)
        way = self._task.way
        size = None if way.one_call else way.chunk_images
        while kept := list(itertools.islice(rows, size)):
            images = converted(kept, model.image_bytes)
            for record in worker.classify(model, images, self._batch_id, attempt, tag):
                yield (records.encode(record),)


def converted(rows: list[Any], image_bytes: int) -> worker.Images:
    """Rows with `COLUMNS` as arrays, one image at a time.

    Raises ValueError when an image has not `image_bytes` bytes.
    """
    received_at = time.time()
    pixels = []
    for row in rows:
        image = np.frombuffer(row.value, np.uint8)
        if len(image) != image_bytes:
            raise ValueError(
                f"an image has not the {image_bytes} bytes that the model takes, but {len(image)}"
            )
        pixels.append(image)
    return worker.Images(
        pixels=np.stack(pixels),
        ids=np.array([int.from_bytes(row.key, "big") for row in rows], np.uint64),
        intended_ms=np.array([row.intended_ms for row in rows], np.int64),
        partition=np.array([row.partition for row in rows], np.int32),
        offset=np.array([row.offset for row in rows], np.int64),
        received_at=received_at,
        from_rows=True,
    )


def results(frame: "DataFrame", task: worker.Classify, batch_id: int) -> "DataFrame":
    """The result records of a micro-batch that Spark's Kafka source gave."""
    rows = frame.selectExpr(*COLUMNS).rdd.mapPartitions(ClassifyRows(task, batch_id))
    return frame.sparkSession.createDataFrame(rows, worker.RESULT_SCHEMA, verifySchema=False)
