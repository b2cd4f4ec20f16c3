"""Conversion `rows`: a Spark task gets its images as Python objects, and converts them one by one.

This is how Spark Streaming's Python API handed out Kafka's records: each is pickled by the JVM,
unpickled, turned into an array of its own, and the arrays are stacked for the model.
"""

import itertools
import math
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from streambed.pipelines import dead_letters, worker

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

TIMESTAMP = "unix_millis(`timestamp`) AS intended_ms"
"""A time as a number, since nobody asks for a calendar."""


class ClassifyRows:
    """The function given to `RDD.mapPartitions`; gives the rows of the result topic."""

    def __init__(self, task: worker.Classify, batch_id: int) -> None:
        self._task = task
        self._batch_id = batch_id

    def __call__(self, rows: Iterator[Any]) -> Iterator[tuple[bytes, str]]:
        from pyspark import TaskContext

        task = TaskContext.get()
        return self.run(rows, task.attemptNumber() if task else 0)

    def run(self, rows: Iterator[Any], attempt: int) -> Iterator[tuple[bytes, str]]:
        """One call of the model for all rows, or for each chunk of them."""
        model, way, outlets = self._task.model(), self._task.way, self._task.outlets
        size = None if way.one_call else way.chunk_images
        while kept := list(itertools.islice(rows, size)):
            kept, letters = sorted_out(kept, model.image_bytes)
            if kept:
                images = converted(kept)
                results, more = self._task.outcome(model, images, self._batch_id, attempt)
                yield from ((result, outlets.results) for result in results)
                letters += more
            yield from ((letter, outlets.dead_letters) for letter in letters)


def sorted_out(rows: list[Any], image_bytes: int) -> tuple[list[Any], list[bytes]]:
    """The rows that are images of `image_bytes` bytes, and a dead letter for each other one."""
    good, letters = [], []
    for row in rows:
        key, value = row.key, row.value
        reason = dead_letters.reason_of(key, value, image_bytes, headed=row.headed)
        if reason is None:
            good.append(row)
        else:
            told = (key, value, row.size, row.partition, row.offset)
            letters.append(dead_letters.letter(reason, *told))
    return good, letters


def converted(rows: list[Any]) -> worker.Images:
    """Images of one size, rows with `worker.columns`, as arrays, one at a time."""
    received_at = time.time()
    pixels = [np.frombuffer(row.value, np.uint8) for row in rows]
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
    columns = worker.columns(math.prod(task.image_shape), TIMESTAMP)
    rows = frame.selectExpr(*columns).rdd.mapPartitions(ClassifyRows(task, batch_id))
    return frame.sparkSession.createDataFrame(rows, worker.RESULT_SCHEMA, verifySchema=False)
