"""Preprocessing on Spark: decode, normalise, augment and split, where the training will run.

One barrier task for each slot of the cluster, so that each executor writes the shards that the
ranks on its node will read.
"""

import os
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from streambed.pipelines import spark_session
from streambed.pipelines.errors import ServiceError
from streambed.pipelines.training import shards
from streambed.pipelines.worker import ADDRESS

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from streambed.pipelines.datasets import Undecoded


class Prepare:
    """The function given to `mapPartitions`: writes the shard of its only part."""

    def __init__(self, name: str, augment: str, seed: int) -> None:
        self._name = name
        self._augment = augment
        self._seed = seed

    def __call__(self, parts: Iterable[shards.RawPart]) -> Iterator[dict[str, Any]]:
        from pyspark import BarrierTaskContext

        context = BarrierTaskContext.get()
        shards.remove_all(keep=self._name)
        # Tasks of one executor share its directory: nobody writes before all have removed.
        context.barrier()
        for part in parts:
            began = time.time()
            facts = shards.write(shards.folder_of(self._name), part, self._augment, self._seed)
            yield {**facts, "address": os.environ.get(ADDRESS), "took_s": time.time() - began}


def prepare(
    session: "SparkSession",
    name: str,
    slots: int,
    training: "Undecoded",
    test: "Undecoded",
    *,
    augment: str,
    seed: int,
) -> list[dict[str, Any]]:
    """Write a shard for each of `slots`; what each task wrote, where, and how long it took.

    Raises:
        ServiceError: a task failed, there are fewer slots, or a test image is not in one shard.
    """
    parts = shards.split(training, test, slots, seed)
    rows = session.sparkContext.parallelize(parts, slots).barrier()
    found: list[dict[str, Any]] = spark_session.calling(
        rows.mapPartitions(Prepare(name, augment, seed)).collect, "preprocessing failed"
    )
    judging = sum(entry["test_images"] for entry in found)
    if judging != len(test.labels):
        raise ServiceError(f"{judging} of {len(test.labels)} test images are in the shards")
    return found


def _remove(_numbers: Iterable[int]) -> Iterator[int]:
    from pyspark import BarrierTaskContext

    BarrierTaskContext.get().barrier()
    shards.remove_all()
    return iter(())


def clean(session: "SparkSession", slots: int) -> None:
    """Remove the shards of every executor.

    Raises:
        ServiceError: one does not answer.
    """
    numbers = session.sparkContext.parallelize(range(slots), slots).barrier()
    spark_session.calling(numbers.mapPartitions(_remove).collect, "removing the shards failed")
