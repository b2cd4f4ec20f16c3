"""Engine `spark-mlp`: Spark's own MultilayerPerceptronClassifier, which needs no download.

784-100-10 with sigmoid, trained by L-BFGS over all images at once, in the JVM: what Spark can do
without a deep-learning library. An epoch is one of its iterations; what is stacked into one matrix
is `batch_size` images. It reads the same shards as the other engines, each task one of its own
executor's; where images were moved (`augment: shift`) it trains on the moved ones alone, as it goes
over one and the same set. Its weights fit no network of the streaming classifier.
"""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from streambed.pipelines import spark_session
from streambed.pipelines.training import shards
from streambed.pipelines.training.job import RankJob
from streambed.pipelines.training.rank import TOP

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

HIDDEN = 100
SCHEMA = "features array<float>, label double"
ROWS = 500
"""In each Arrow batch."""

LEAST = 1e-15
"""Probabilities below it count as this much in the loss."""


class Read:
    """The function given to `mapInArrow`: the images of this executor's shard, as rows."""

    def __init__(self, job: RankJob, *, test: bool) -> None:
        self._job = job
        self._test = test

    def __call__(self, _batches: Iterator[Any]) -> Iterator[Any]:
        import pyarrow as pa
        from pyspark import BarrierTaskContext

        context = BarrierTaskContext.get()
        index = context.partitionId()
        executors = [info.address for info in context.getTaskInfos()]
        # Spark may read again what it lost: so a shard is named, and not taken.
        own = executors[:index].count(executors[index])
        shard = shards.load(shards.nth(shards.folder_of(self._job.shards), own))
        images = shard.test if self._test else shard.variants[-1]
        labels = shard.test_labels if self._test else shard.labels
        for begin in range(0, len(images), ROWS):
            flat = np.array(images[begin : begin + ROWS]).reshape(-1)
            count = len(labels[begin : begin + ROWS])
            offsets = np.arange(count + 1, dtype=np.int32) * (len(flat) // count)
            features = pa.ListArray.from_arrays(offsets, pa.array(flat, pa.float32()))
            right = pa.array(labels[begin : begin + ROWS].astype(np.float64))
            yield pa.RecordBatch.from_arrays([features, right], ["features", "label"])


def _rows(session: "SparkSession", job: RankJob, *, test: bool) -> "DataFrame":
    """One barrier task for each slot: each executor reads its own shards."""
    from pyspark.ml.functions import array_to_vector

    slots = session.range(0, job.ranks, 1, job.ranks)
    rows = slots.mapInArrow(Read(job, test=test), SCHEMA, barrier=True)
    return rows.select(array_to_vector("features").alias("features"), "label")


def fit(session: "SparkSession", job: RankJob) -> dict[str, Any]:
    """Train and evaluate; figures of the training, with the loss after each iteration.

    Raises:
        ServiceError: Spark failed.
    """
    return dict(spark_session.calling(lambda: _fit(session, job), "the training failed"))


def _fit(session: "SparkSession", job: RankJob) -> dict[str, Any]:
    from pyspark.ml.classification import MultilayerPerceptronClassifier
    from pyspark.ml.functions import vector_to_array

    training = _rows(session, job, test=False)
    inputs = int(np.prod(job.image_shape))
    iterations = min(job.epochs, job.iterations or job.epochs)
    began = time.time()
    model = MultilayerPerceptronClassifier(
        layers=[inputs, HIDDEN, job.classes],
        maxIter=iterations,
        # Every iteration that was asked for, however little it gains.
        tol=0.0,
        solver="l-bfgs",
        blockSize=job.batch_size,
        seed=job.seed,
    ).fit(training)
    train_s = time.time() - began
    history = [float(loss) for loss in model.summary().objectiveHistory]
    done = int(model.summary().totalIterations)
    began = time.time()
    judged = model.transform(_rows(session, job, test=True))
    rows = judged.select(vector_to_array("probability").alias("p"), "label").collect()
    test = _judged([row.p for row in rows], [int(row.label) for row in rows])
    return {
        "train_s": train_s,
        "evaluate_s": time.time() - began,
        "iterations": done,
        "images": done * job.ranks * job.steps.rank_images,
        "losses": history,
        "block_size": int(model.getBlockSize()),
        **test,
    }


def _judged(probabilities: list[list[float]], labels: list[int]) -> dict[str, float]:
    """Loss, top-1 and top-5 of probabilities[n][classes]."""
    table = np.array(probabilities)
    own = table[np.arange(len(labels)), labels]
    above = (table > own[:, None]).sum(axis=1)
    return {
        "test_loss": float(-np.log(np.maximum(own, LEAST)).mean()),
        "top1": float((above < 1).mean()),
        "top5": float((above < TOP).mean()),
    }
