"""The stages of program `classify`, for an ablation: each does all that the one before does.

    scan      Spark reads the topic, each record as a row in the JVM
    identity  and the images go to Python as Arrow batches, packed records without a model come back
    model     and the model is called
    full      and the records go to the result topic: the program as it always runs

All but `full` end in Spark's `noop` sink, which takes every row and drops it, and observe what
passed, so that the evidence of each micro-batch is in its progress report.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from streambed.pipelines import records, worker

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.streaming import DataStreamWriter

SCAN, IDENTITY, MODEL, FULL = "scan", "identity", "model", "full"
STAGES = (SCAN, IDENTITY, MODEL, FULL)

OBSERVED = "stage"
"""Name of the observation in a progress report."""

_NO_KEY = "0" * 16

_CHECKED_SCHEMA = f"{worker.RESULT_SCHEMA}, images long, correct long, mismatches long"


def check(stage: str, reference: str | None) -> None:
    """Raises ValueError for a stage that does not exist, or that lacks its reference."""
    if stage not in STAGES:
        raise ValueError(f"stage {stage!r}; allowed: {', '.join(STAGES)}")
    if stage == MODEL and reference is None:
        raise ValueError(f"stage {MODEL} needs reference")


def writer(
    stage: str,
    source: "DataFrame",
    function: worker.Classify,
    sink_options: Mapping[str, str],
    answers: Any,
) -> "DataStreamWriter":
    """The query of a stage, ready to start.

    Args:
        stage: one of `STAGES`.
        source: the image topic as Spark's Kafka source gives it.
        function: what a task of stage `full` does.
        sink_options: of the Kafka sink; the others take what does not concern Kafka.
        answers: a broadcast of `answers.Answers`, for stage `model`.
    """
    if stage == FULL:
        results = source.selectExpr(*function.columns).mapInArrow(function, worker.RESULT_SCHEMA)
        return results.writeStream.format("kafka").options(**sink_options)
    own = {name: value for name, value in sink_options.items() if not name.startswith("kafka.")}
    return _observed(stage, source, function, answers).writeStream.format("noop").options(**own)


def _observed(
    stage: str, source: "DataFrame", function: worker.Classify, answers: Any
) -> "DataFrame":
    from pyspark.sql import functions as sql

    size = sql.sum(sql.length("value")).alias("bytes")
    if stage == SCAN:
        counted = sql.count(sql.lit(1)).alias("images")
        return source.selectExpr(*function.columns).observe(OBSERVED, counted, size)
    task = Identity(function) if stage == IDENTITY else Checked(function, answers)
    results = source.selectExpr(*function.columns).mapInArrow(task, _CHECKED_SCHEMA)
    sums = [sql.sum(name).alias(name) for name in ("images", "correct", "mismatches")]
    return results.observe(OBSERVED, size, *sums)


class NoModel(worker.ShapedModel):
    """Stands where the model does, and calls every image 0."""

    def __init__(self, image_shape: tuple[int, ...]) -> None:
        self.image_bytes = int(np.prod(image_shape, dtype=np.int64))

    def predict(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.int32]:
        """Zeros int32[n] for images uint8[n, image_bytes]."""
        return np.zeros(len(images), np.int32)


class Checked:
    """A task whose records come with counts: images, right labels, labels other than offline."""

    def __init__(self, function: worker.Classify, answers: Any) -> None:
        self._function = function
        self._answers = answers

    def __call__(self, batches: Iterator[Any]) -> Iterator[Any]:
        for batch in self._function(batches):
            if batch.column("topic")[0].as_py() != self._function.outlets.results:
                continue  # images that are set aside are missing in the counts
            (message,) = batch.column("value").to_pylist()
            record = records.decode(message)
            yield _with_counts(batch, len(record), *self._check(record.ids, record.labels))

    def _check(self, ids: npt.NDArray[np.uint64], labels: npt.NDArray[np.int32]) -> tuple[int, int]:
        counts: tuple[int, int] = self._answers.value.check(ids, labels)
        return counts


class Identity(Checked):
    """The same without a model, whose labels nobody could judge: both counts stay 0."""

    def __init__(self, function: worker.Classify) -> None:
        super().__init__(_Packing(function), None)

    def _check(self, *_: npt.NDArray[np.generic]) -> tuple[int, int]:
        return 0, 0


class _Packing(worker.Classify):
    """A task that unpacks its images and packs its records, and calls no model."""

    def __init__(self, function: worker.Classify) -> None:
        super().__init__(_NO_KEY, function.image_shape, None, function.outlets)

    def model(self) -> worker.ShapedModel:
        return NoModel(self.image_shape)


def _with_counts(batch: Any, *counts: int) -> Any:
    columns = [*batch.columns, *(pa.array([count], pa.int64()) for count in counts)]
    names = [*batch.schema.names, "images", "correct", "mismatches"]
    return pa.RecordBatch.from_arrays(columns, names)
