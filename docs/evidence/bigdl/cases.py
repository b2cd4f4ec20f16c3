"""One case of trial.py: BigDL trains LeNet-5 for two iterations on images of noise.

Runs in the trial's environment (Python 3.8, BigDL 2.4.0), where nothing of Streambed is. It prints
what it finds line by line, and ends with BigDL's own error where there is one.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from bigdl.dllib.nn.criterion import ClassNLLCriterion
from bigdl.dllib.nn.layer import (
    Layer,
    Linear,
    LogSoftMax,
    Reshape,
    Sequential,
    SpatialConvolution,
    SpatialMaxPooling,
    Tanh,
)
from bigdl.dllib.optim.optimizer import SGD, MaxIteration, Optimizer
from bigdl.dllib.utils.common import (
    Sample,
    create_spark_conf,
    get_node_and_core_number,
    init_engine,
)
from bigdl.dllib.utils.engine import get_bigdl_classpath
from pyspark import SparkConf, SparkContext

IMAGES = 8
ITERATIONS = 2


def say(line: str) -> None:
    """Prints at once, so that the order among Spark's own lines is that of events."""
    print(line, flush=True)


def settings(options: argparse.Namespace) -> SparkConf:
    """BigDL's own settings (they put its jars on the driver's class path) and the case's."""
    conf = create_spark_conf().setMaster(options.master).setAppName(f"bigdl {options.name}")
    conf.set("spark.cores.max", str(options.executors))
    # No job starts before all executors are there; BigDL's own settings would wait for an hour.
    conf.set("spark.scheduler.minRegisteredResourcesRatio", "1.0")
    conf.set("spark.scheduler.maxRegisteredResourcesWaitingTime", "60s")
    if not options.cores_untold:
        conf.set("spark.executor.cores", "1")
    if not options.jars_untold:
        conf.set("spark.executor.extraClassPath", get_bigdl_classpath())
    return conf


def lenet5() -> Sequential:
    """LeNet-5 for images of 28 × 28 and ten classes."""
    model = Sequential()
    for layer in (
        Reshape([1, 28, 28]),
        SpatialConvolution(1, 6, 5, 5),
        Tanh(),
        SpatialMaxPooling(2, 2, 2, 2),
        SpatialConvolution(6, 16, 5, 5),
        Tanh(),
        SpatialMaxPooling(2, 2, 2, 2),
        Reshape([16 * 4 * 4]),
        Linear(16 * 4 * 4, 120),
        Tanh(),
        Linear(120, 84),
        Tanh(),
        Linear(84, 10),
        LogSoftMax(),
    ):
        model.add(layer)
    return model


def noise() -> list[Sample]:
    """Images float32[28, 28] of noise, labelled 1 … 10 in turn: BigDL counts classes from 1."""
    random = np.random.default_rng(0)
    return [
        Sample.from_ndarray(
            random.random((28, 28), dtype=np.float32),
            np.array([1 + number % 10], dtype=np.float32),
        )
        for number in range(IMAGES)
    ]


def executors(context: SparkContext, wanted: int) -> int:
    """How many executors the driver knows: `wanted`, unless they do not come within a minute."""
    deadline = time.monotonic() + 60
    while True:
        # The driver's own block manager is one of them.
        found = int(context._jsc.sc().getExecutorMemoryStatus().size()) - 1  # noqa: SLF001
        if found >= wanted or time.monotonic() > deadline:
            return found
        time.sleep(0.2)


def tasks(context: SparkContext) -> list[int]:
    """How many tasks each executor has done so far."""
    known = context._jsc.sc().statusStore().executorList(True)  # noqa: SLF001
    found = [known.apply(number) for number in range(known.size())]
    return [executor.completedTasks() for executor in found if executor.id() != "driver"]


def weights(model: Layer) -> np.ndarray:
    """All weights of a network, float32[n]."""
    return np.concatenate([part.ravel() for part in model.get_weights()])


def train(context: SparkContext, partitions: int, batch: int) -> None:
    model = lenet5()
    before = weights(model)
    trained = Optimizer.create(
        model=model,
        training_set=context.parallelize(noise(), partitions),
        criterion=ClassNLLCriterion(),
        end_trigger=MaxIteration(ITERATIONS),
        batch_size=batch,
        optim_method=SGD(learningrate=0.01),
    ).optimize()
    change = float(np.abs(weights(trained) - before).max())
    if not change > 0:
        raise SystemExit("nothing was learnt: no weight has changed")
    say(f"tasks: {tasks(context)} on the executors")
    say(f"trained: batch {batch}, {ITERATIONS} iterations, weights moved by up to {change:.6f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--master", required=True)
    parser.add_argument("--executors", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--cores-untold", action="store_true")
    parser.add_argument("--jars-untold", action="store_true")
    options = parser.parse_args()
    context = SparkContext(conf=settings(options))
    try:
        say(f"executors: {executors(context, options.executors)}")
        init_engine()
        nodes, cores = get_node_and_core_number()
        say(f"engine: {nodes} nodes, {cores} cores on each")
        train(context, options.executors, options.batch)
    finally:
        context.stop()


if __name__ == "__main__":
    main()
