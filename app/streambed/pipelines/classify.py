"""`classify`: the Spark driver. Kafka -> Arrow -> model -> Kafka, in micro-batches."""

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streambed.pipelines import datasets, model_files, spark_conf
from streambed.pipelines.errors import ServiceError
from streambed.pipelines.micro_batches import Follower
from streambed.pipelines.protocol import Commands, emit, say
from streambed.pipelines.spec import parse

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming import StreamingQuery

POLL_S = 0.2
LEAN_JVM = (
    "-XX:+UseSerialGC -Xss512k -XX:TieredStopAtLevel=1 "
    "-Dlog4j2.configurationFile=/etc/spark/log4j2.properties"
)
"""The quick compiler only: a run of minutes never earns back what the optimising one costs.

Executors get half their heap as young generation besides: records live for one poll, and copying
them took 2.5 us per image.
"""
CLASSES = "-XX:SharedArchiveFile=/opt/streambed/classes"
"""A baked node has the classes of driver and executor parsed already; elsewhere it says nothing."""
NO_CONFIGURATION = "/usr/local/lib/streambed/no-configuration"
"""Spark puts its configuration directory on the class path; one with files rules archives out."""


@dataclass(frozen=True)
class ClassifySpec:
    """Where the query runs and what it reads; times in seconds, memory in Spark's notation.

    `image_shape` null takes the shape of `dataset`. `run_dir` gets the checkpoint and must be new.
    With `async_progress` the query notes how far it came each `progress_every_ms` only: what came
    since is classified again by a restart.
    """

    bootstrap: str
    topic: str
    result_topic: str
    master_url: str
    driver_address: str
    model: model_files.ModelSpec
    trigger_s: float
    run_dir: str
    dataset: str = datasets.MNIST
    image_shape: list[int] | None = None
    progress_every_ms: int = 5000
    executors: int = 1
    cores_per_executor: int = 2
    executor_memory: str = "768m"
    driver_memory: str = "640m"
    max_offsets_per_trigger: int | None = None
    arrow_batch_images: int = 2000
    async_progress: bool = True
    driver_port: int = 7001
    driver_block_port: int = 7002
    executor_block_port: int = 7003
    executor_java_options: str = f"{LEAN_JVM} {CLASSES}/executor.jsa -Xmn384m"
    driver_java_options: str = f"{LEAN_JVM} {CLASSES}/driver.jsa"
    event_log_dir: str | None = None
    app_name: str = "streambed-classify"
    stop_timeout_s: float = 60.0
    conf: dict[str, Any] = field(default_factory=dict)
    security: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.trigger_s < 0:
            raise ValueError(f"trigger_s must be >= 0, not {self.trigger_s}")
        for name in ("executors", "cores_per_executor", "arrow_batch_images"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, not {getattr(self, name)}")


def program(raw: dict[str, Any], commands: Commands) -> None:
    """Run `classify`: events submitted, ready, batch ..., done (after `stop`)."""
    spec = parse(ClassifySpec, raw)
    shape = tuple(spec.image_shape or datasets.load(spec.dataset).image_shape)
    files = model_files.read(spec.model, shape)
    emit("submitted", at=time.time())
    session = _session(spec)
    try:
        query = _start(session, spec, files)
        emit(
            "ready",
            at=time.time(),
            executors=_executors(session),
            executor_ids=_executor_ids(session),
            model_key=files.key,
        )
        follower = _follow(query, spec, commands)
        effective = spark_conf.redacted(dict(session.sparkContext.getConf().getAll()))
        emit(
            "done",
            at=time.time(),
            batches=follower.last_batch_id + 1,
            missed_batches=follower.missed,
            empty_triggers=follower.empty_triggers,
            executor_ids=_executor_ids(session),
            effective_conf=effective,
            source_options=spark_conf.redacted(_source_options(spec)),
            sink_options=spark_conf.redacted(_sink_options(spec)),
            versions=_versions(session),
        )
    finally:
        session.stop()


def _session(spec: ClassifySpec) -> "SparkSession":
    # Read by the JVM that only works out spark-submit's command line.
    os.environ.setdefault("SPARK_LAUNCHER_OPTS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
    os.environ["SPARK_LOCAL_IP"] = spec.driver_address
    os.environ["SPARK_CONF_DIR"] = NO_CONFIGURATION
    # What the driver finds here is the interpreter the executors start, too.
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    from pyspark import SparkConf
    from pyspark.sql import SparkSession

    python_path = str(Path(__file__).resolve().parents[2])
    conf = SparkConf(loadDefaults=False)
    for name, value in spark_conf.settings(spec, python_path).items():
        conf.set(name, value)
    for name, value in spec.conf.items():
        conf.set(name, str(value))
    session = _spark(
        lambda: SparkSession.builder.config(conf=conf).getOrCreate(), "the driver did not start"
    )
    session.sparkContext.setLogLevel("WARN")
    return session


def _source_options(spec: ClassifySpec) -> dict[str, str]:
    return spark_conf.source_options(
        spec.bootstrap, spec.topic, spec.max_offsets_per_trigger, spec.security
    )


def _sink_options(spec: ClassifySpec) -> dict[str, str]:
    progress_every_ms = spec.progress_every_ms if spec.async_progress else None
    checkpoint = f"file://{Path(spec.run_dir).resolve() / 'checkpoint'}"
    return spark_conf.sink_options(
        spec.bootstrap, spec.result_topic, checkpoint, progress_every_ms, spec.security
    )


def _start(
    session: "SparkSession", spec: ClassifySpec, files: model_files.ModelFiles
) -> "StreamingQuery":
    from streambed.pipelines import worker

    Path(spec.run_dir).mkdir(parents=True, exist_ok=True)
    broadcast = session.sparkContext.broadcast(files)
    function = worker.Classify(files.key, files.image_shape, broadcast)

    def start() -> "StreamingQuery":
        source: DataFrame = (
            session.readStream.format("kafka").options(**_source_options(spec)).load()
        )
        results = source.select(*worker.COLUMNS).mapInArrow(function, worker.RESULT_SCHEMA)
        writer = results.writeStream.format("kafka").options(**_sink_options(spec))
        # Aligned to multiples of the interval since the epoch, which is what gates rely on.
        return writer.trigger(processingTime=f"{round(spec.trigger_s * 1000)} milliseconds").start()

    return _spark(start, "the query did not start")


def _executors(session: "SparkSession") -> list[str]:
    """host:port of every executor."""
    context = session.sparkContext._jsc.sc()  # noqa: SLF001 (pyspark has no public way)
    infos = context.statusTracker().getExecutorInfos()
    return sorted(f"{info.host()}:{info.port()}" for info in infos)


def _executor_ids(session: "SparkSession") -> list[str]:
    """Ids of the executors; one that took another's place has a new id."""
    ids = session.sparkContext._jsc.sc().getExecutorIds()  # noqa: SLF001 (as above)
    return sorted(ids.apply(index) for index in range(ids.size()))


def _follow(query: "StreamingQuery", spec: ClassifySpec, commands: Commands) -> Follower:
    """Emit batches until `stop`; then let the current one end, and stop the query."""
    follower = Follower()
    newest = None
    while not commands.wait("stop", POLL_S):
        if not query.isActive:
            break
        # One cheap call tells whether there is anything new; the full list is long.
        report = query._jsq.lastProgress()  # noqa: SLF001 (the public one parses it whole)
        told = None if report is None else (report.batchId(), report.timestamp())
        if told != newest:
            newest = told
            _emit_batches(query, follower)
    if query.isActive:
        _stop(query, spec)
    _emit_batches(query, follower)
    failure = query.exception()
    if failure is not None:
        raise ServiceError(f"the query failed: {_reason(str(failure))}")
    if not commands.received("stop"):
        raise ServiceError("the query ended by itself")
    return follower


def _emit_batches(query: "StreamingQuery", follower: Follower) -> None:
    before = len(follower.missed)
    # The reports' own JSON: pyspark's objects turn the offsets into text.
    reports = query._jsq.recentProgress()  # noqa: SLF001
    for event in follower.new_events(json.loads(report.json()) for report in reports):
        emit("batch", **event)
    if len(follower.missed) > before:
        emit("warning", at=time.time(), reason=f"no report of batches {follower.missed[before:]}")


def _stop(query: "StreamingQuery", spec: ClassifySpec) -> None:
    deadline = time.monotonic() + spec.stop_timeout_s
    while query.isActive and query.status["isTriggerActive"]:
        if time.monotonic() > deadline:
            say(f"the micro-batch did not end in {spec.stop_timeout_s} s: stopping it")
            break
        time.sleep(0.02)
    query.stop()


def _versions(session: "SparkSession") -> dict[str, str]:
    system = session.sparkContext._jvm.java.lang.System  # noqa: SLF001
    return {
        "spark": session.version,
        "java": str(system.getProperty("java.version")),
        "python": sys.version.split()[0],
    }


def _spark(call: Callable[[], Any], what: str) -> Any:
    """`call()`, with Spark's and Java's errors as a ServiceError of one line."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException, PySparkRuntimeError

    try:
        return call()
    except (Py4JError, PySparkException, PySparkRuntimeError) as error:
        raise ServiceError(f"{what}: {_reason(str(error))}") from None


def _reason(text: str) -> str:
    """The lines of a Java error, or of a Python one inside it, that say something."""
    lines = [line.strip() for line in text.partition("Driver stacktrace")[0].splitlines()]
    noise = ("at ", "JVM stack", "File ", "^", "Traceback", "...")
    telling = [line for line in lines if line and not line.startswith(noise)]
    return " | ".join(telling[:12])[:1500]
