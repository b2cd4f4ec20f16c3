"""One case of trial.py: a system of source E's list on this stack's own Spark.

Runs in one of the trial's environments (Python 3.11, PySpark 4.0.0), where nothing of Streambed is.
It prints what it finds line by line, and ends with the system's own error where there is one.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pyspark
from pyspark.sql import SparkSession

POINTS = 256
INPUTS = 4
EPOCHS = 10
BATCH = 16
RATE = 0.5


def say(line: str) -> None:
    """Prints at once, so that the order among Spark's own lines is that of events."""
    print(line, flush=True)


def session(name: str, master: str, settings: dict[str, str] | None = None) -> SparkSession:
    """This stack's Spark, with what it runs on said."""
    builder = SparkSession.builder.master(master).appName(name)
    found = builder.config(map=settings or {}).getOrCreate()
    found.sparkContext.setLogLevel("WARN")
    scala = found.sparkContext._jvm.scala.util.Properties.versionNumberString()  # noqa: SLF001
    say(f"found: Spark {pyspark.__version__}, Scala {scala}, {master}")
    return found


def on_trial(package: str) -> None:
    """Says what is installed under a name: a name may belong to another project."""
    about = metadata.metadata(package)
    known = (about[key] for key in ("Summary", "Home-page"))
    say(f"on trial: {package} {about['Version']}; {'; '.join(filter(None, known))}")


def points() -> tuple[np.ndarray, np.ndarray]:
    """Points float32[n, 4] and their class, one-hot float32[n, 2]: which two numbers are more."""
    places = np.random.default_rng(0).normal(size=(POINTS, INPUTS)).astype(np.float32)
    kind = (places[:, 0] + places[:, 1] > places[:, 2] + places[:, 3]).astype(int)
    return places, np.eye(2, dtype=np.float32)[kind]


def network(keras: Any) -> Any:
    """A small network of Keras, compiled; `keras` is Keras 3 or 2."""
    keras.utils.set_random_seed(0)
    layers = [
        keras.layers.Dense(16, activation="tanh", input_shape=(INPUTS,)),
        keras.layers.Dense(2, activation="softmax"),
    ]
    model = keras.Sequential(layers)
    rule = keras.optimizers.SGD(learning_rate=RATE)
    model.compile(optimizer=rule, loss="categorical_crossentropy", metrics=["accuracy"])
    return model


def moved(before: list[np.ndarray], after: list[np.ndarray]) -> float:
    """By how much a weight has changed at most."""
    return max(float(np.abs(old - new).max()) for old, new in zip(before, after, strict=True))


def judge(how: str, change: float, before: float, after: float) -> None:
    """Says that a network was trained; ends the case where it was not."""
    told = f"{how}, loss {before:.3f} to {after:.3f}, weights moved by up to {change:.4f}"
    if not (change > 0 and after < before):
        raise SystemExit(f"nothing was learnt: {told}")
    say(f"trained: {told}")


def dl4j(options: argparse.Namespace) -> None:
    """Averages parameters over two workers, through DL4J's own classes for Spark."""
    jars = sorted(map(str, options.jars.glob("*.jar")))
    say(f"on trial: {', '.join(Path(jar).name for jar in jars if 'spark' in Path(jar).name)}")
    context = session("dl4j", "local[2]", {"spark.jars": ",".join(jars)}).sparkContext
    jvm, array = context._jvm, context._gateway.new_array  # noqa: SLF001
    nets, spark = jvm.org.deeplearning4j.nn.conf, jvm.org.deeplearning4j.spark
    activation = jvm.org.nd4j.linalg.activations.Activation
    loss = jvm.org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction.MCXENT
    hidden = nets.layers.DenseLayer.Builder().nIn(INPUTS).nOut(16).activation(activation.TANH)
    last = nets.layers.OutputLayer.Builder(loss).nIn(16).nOut(2).activation(activation.SOFTMAX)
    rule = jvm.org.nd4j.linalg.learning.config.Sgd(RATE)
    layers = nets.NeuralNetConfiguration.Builder().seed(0).updater(rule).list()
    conf = layers.layer(0, hidden.build()).layer(1, last.build()).build()

    def matrix(rows: np.ndarray) -> Any:
        """An array of ND4J."""
        values = array(jvm.double, *rows.shape)
        for (row, column), value in np.ndenumerate(rows):
            values[row][column] = float(value)
        # The type of a network's weights.
        single = jvm.org.nd4j.linalg.api.buffer.DataType.FLOAT
        return jvm.org.nd4j.linalg.factory.Nd4j.create(values).castTo(single)

    places, kinds = points()
    batches = jvm.java.util.ArrayList()
    for first in range(0, POINTS, BATCH):
        part = slice(first, first + BATCH)
        batch = jvm.org.nd4j.linalg.dataset.DataSet(matrix(places[part]), matrix(kinds[part]))
        batches.add(batch)
    direct = spark.api.RDDTrainingApproach.Direct
    master = spark.impl.paramavg.ParameterAveragingTrainingMaster.Builder(BATCH)
    master = master.batchSizePerWorker(BATCH).averagingFrequency(1).workerPrefetchNumBatches(0)
    master = master.rddTrainingApproach(direct).build()
    java = context._jsc  # noqa: SLF001
    trainer = spark.impl.multilayer.SparkDl4jMultiLayer(java, conf, master)
    model, data = trainer.getNetwork(), java.parallelize(batches, 2)
    weights, before = model.params().dup(), model.score(batch)
    for _ in range(EPOCHS):
        trainer.fit(data)
    after = trainer.getNetwork()
    change = float(after.params().sub(weights).amaxNumber())
    judge("by SparkDl4jMultiLayer on 2 workers", change, before, after.score(batch))


def caffeonspark(options: argparse.Namespace) -> None:
    """Asks PyPI and Maven Central, and both for what they have: no network is no answer."""
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-input"]
    pip += ["--dest", str(options.scratch)]
    maven = [*options.maven, "-Dtransitive=false"]
    absent = "No matching distribution found|Could not find artifact|Failed to resolve version"
    asked = {
        "pip, tensorflowonspark": [*pip, "tensorflowonspark"],
        "pip, caffeonspark": [*pip, "caffeonspark"],
        "Maven, dl4j-spark3": [*maven, "-Dartifact=org.deeplearning4j:dl4j-spark3_2.12:LATEST"],
        # The name in its own pom.xml, which no release has.
        "Maven, caffe-grid": [*maven, "-Dartifact=com.yahoo.ml:caffe-grid:LATEST"],
    }
    found = {}
    for what, command in asked.items():
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        output = done.stdout + done.stderr
        print(output, flush=True)
        if done.returncode and not re.search(absent, output):
            raise SystemExit(f"{what}: no answer, exit status {done.returncode}")
        found[what] = not done.returncode
        say(f"found: {what}: {'yes' if found[what] else 'no'}")
    if list(found.values()) != [True, False, True, False]:
        raise SystemExit("either CaffeOnSpark is there, or what is known to be there is not")
    say("nowhere: caffeonspark, neither on PyPI nor on Maven Central")


def tensorspark(_: argparse.Namespace) -> None:
    on_trial("tensorspark")
    from tensorspark.core.spark_session import SparkSession as Trainer

    say(f"imported: {Trainer}")


def dist_keras(_: argparse.Namespace) -> None:
    """The trainer of one worker: all others prepare a network in the same way."""
    on_trial("dist-keras")
    import keras
    from distkeras.trainers import SingleTrainer

    say("imported: distkeras.trainers")
    spark, (places, kinds) = session("dist-keras", "local[2]"), points()
    rows = list(zip(places.tolist(), kinds.tolist(), strict=True))
    frame = spark.createDataFrame(rows, ["features", "label"])
    model = network(keras)
    before = model.evaluate(places, kinds, verbose=0)[0]
    trainer = SingleTrainer(model, "sgd", "categorical_crossentropy", num_epoch=1, batch_size=BATCH)
    trained = trainer.train(frame)
    trained.compile(loss="categorical_crossentropy")
    after = trained.evaluate(places, kinds, verbose=0)
    change = moved(model.get_weights(), trained.get_weights())
    judge("by SingleTrainer on 1 worker", change, before, after)


def sparkling_water(_: argparse.Namespace) -> None:
    """Starts H2O in Spark; where that fails, asks Java for the class that is needed first."""
    on_trial("h2o_pysparkling_3.5")
    jvm = session("sparkling-water", "local[2]").sparkContext._jvm  # noqa: SLF001
    from pysparkling import H2OContext

    say("imported: pysparkling")
    try:
        say(f"found: {H2OContext.getOrCreate()}")
    finally:
        # Of a class that cannot be linked py4j may say no more than that the connection is lost.
        loader = jvm.java.lang.Thread.currentThread().getContextClassLoader()
        name = "ai.h2o.sparkling.H2OConf"
        say(f"found: {jvm.java.lang.Class.forName(name, True, loader).getName()}")


def elephas(_: argparse.Namespace) -> None:
    """Synchronous: after each epoch the changes of both partitions are averaged."""
    on_trial("elephas")
    import keras
    from elephas.spark_model import SparkModel

    context, (places, kinds) = session("elephas", "local[2]").sparkContext, points()
    model = network(keras)
    weights, before = model.get_weights(), model.evaluate(places, kinds, verbose=0)
    data = context.parallelize(list(zip(places, kinds, strict=True)), 2)
    trainer = SparkModel(model)
    trainer.fit(data, epochs=EPOCHS, batch_size=BATCH, verbose=0, validation_split=0.0)
    trained = trainer.master_network
    after = trained.evaluate(places, kinds, verbose=0)
    how = f"by SparkModel on 2 partitions, accuracy {before[1]:.3f} to {after[1]:.3f}"
    judge(how, moved(weights, trained.get_weights()), before[0], after[0])


def train_rank(options: argparse.Namespace, rank: Any) -> None:
    """One rank of TensorFlowOnSpark's: trains, and leaves what it found for the driver."""
    import tensorflow as tf

    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    with strategy.scope():
        model = network(tf.keras)
    weights, steps = model.get_weights(), POINTS // (2 * BATCH)
    # The batch is that of both ranks; each takes its half.
    data = tf.data.Dataset.from_tensor_slices(points()).repeat().batch(2 * BATCH)
    losses = model.fit(data, epochs=EPOCHS, steps_per_epoch=steps, verbose=0).history["loss"]
    trained = model.get_weights()
    found = {
        "ranks": strategy.num_replicas_in_sync,
        "change": moved(weights, trained),
        "before": losses[0],
        "after": losses[-1],
        "sum": sum(float(part.sum()) for part in trained),
    }
    Path(options.results, f"{rank.job_name}-{rank.task_index}.json").write_text(json.dumps(found))


def tensorflowonspark(options: argparse.Namespace) -> None:
    """Two executors, each a rank of TensorFlow's own distributed training."""
    for package in ("tensorflowonspark", "tf_keras"):
        on_trial(package)
    from tensorflowonspark import TFCluster

    # For Keras 2, which it was written for; the driver has it from trial.py.
    legacy = {"spark.executorEnv.TF_USE_LEGACY_KERAS": "1"}
    context = session("tensorflowonspark", "local-cluster[2,1,1024]", legacy).sparkContext
    results = options.scratch / "ranks"
    results.mkdir(exist_ok=True)
    for old in results.glob("*.json"):
        old.unlink()
    told = argparse.Namespace(results=str(results))
    TFCluster.run(
        context, train_rank, told, 2, num_ps=0, master_node="chief", reservation_timeout=120
    ).shutdown(timeout=240)
    found = {file.stem: json.loads(file.read_text()) for file in sorted(results.glob("*.json"))}
    for rank, line in found.items():
        say(f"found: {rank}: {line}")
    if [rank["ranks"] for rank in found.values()] != [2, 2]:
        raise SystemExit("not two ranks that train together")
    if np.ptp([rank["sum"] for rank in found.values()]) > 1e-4:
        raise SystemExit("the ranks have different weights")
    first = found["chief-0"]
    judge("by TFCluster on 2 ranks", first["change"], first["before"], first["after"])


CASES = {
    "dl4j": dl4j,
    "caffeonspark": caffeonspark,
    "tensorspark": tensorspark,
    "dist-keras": dist_keras,
    "sparkling-water": sparkling_water,
    "elephas": elephas,
    "tensorflowonspark": tensorflowonspark,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=CASES)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--jars", type=Path)
    parser.add_argument("--maven", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    CASES[options.name](options)


if __name__ == "__main__":
    main()
