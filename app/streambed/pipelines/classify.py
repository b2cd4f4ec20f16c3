"""`classify`: the Spark driver. Kafka -> Python -> model -> Kafka, in micro-batches."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streambed.pipelines import (
    answers,
    backlog,
    datasets,
    intervals,
    kafka_access,
    model_files,
    spark_conf,
    spark_session,
    stages,
    way,
)
from streambed.pipelines.protocol import Commands, emit
from streambed.pipelines.spec import parse

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming import DataStreamWriter

    from streambed.pipelines import worker


_TAKEN_APART = (way.BACKLOG, way.ARROW)
"""The batching and the conversion that have stages."""


@dataclass(frozen=True)
class ClassifySpec:
    """Where the query runs and what it reads; times in seconds, memory in Spark's notation.

    `image_shape` null takes the shape of `dataset`. `run_dir` gets the checkpoint and must be new.

    `batching`: `backlog` is a Structured Streaming query; `interval` cuts what arrived in each
    interval, see intervals.py. `conversion`: `arrow`, or `rows` of Python objects, one by one (a
    streaming query then hands its batches to Python, and keeps its offset log in step). `calls`:
    the model gets `arrow_batch_images` at a time, or all that a task has, in one call.
    `settings`: `lean` or `plain`, see spark_conf.py, which has the Java options for null, too.

    With `async_progress`, lean, the query notes how far it came each `progress_every_ms` only: what
    came since is classified again by a restart.

    `stage` other than `full` ends a backlog query of Arrow batches early, for an ablation, see
    stages.py; stage `model` needs `reference`, what program `reference` wrote.
    """

    bootstrap: str
    topic: str
    result_topic: str
    dead_letter_topic: str
    master_url: str
    driver_address: str
    model: model_files.ModelSpec
    trigger_s: float
    run_dir: str
    dataset: str = datasets.MNIST
    image_shape: list[int] | None = None
    batching: str = way.BACKLOG
    conversion: str = way.ARROW
    calls: str = way.CHUNKED
    settings: str = way.LEAN
    progress_every_ms: int = 5000
    executors: int = 1
    cores_per_executor: int = 2
    executor_memory: str = f"{spark_conf.EXECUTOR_MEMORY_MIB}m"
    driver_memory: str = f"{spark_conf.DRIVER_MEMORY_MIB}m"
    max_offsets_per_trigger: int | None = None
    arrow_batch_images: int = way.CHUNK_IMAGES
    async_progress: bool = True
    driver_port: int = 7001
    driver_block_port: int = 7002
    executor_block_port: int = 7003
    executor_java_options: str | None = None
    driver_java_options: str | None = None
    event_log_dir: str | None = None
    app_name: str = "streambed-classify"
    stage: str = stages.FULL
    reference: str | None = None
    stop_timeout_s: float = 60.0
    conf: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        stages.check(self.stage, self.reference)
        if self.stage != stages.FULL and (self.batching, self.conversion) != _TAKEN_APART:
            raise ValueError(f"stage {self.stage} needs {' and '.join(_TAKEN_APART)}")
        way.one_of("batching", self.batching, (way.BACKLOG, way.INTERVAL))
        way.one_of("conversion", self.conversion, (way.ARROW, way.ROWS))
        way.one_of("calls", self.calls, (way.CHUNKED, way.ONE_PER_BATCH))
        way.one_of("settings", self.settings, (way.LEAN, way.PLAIN))
        if self.trigger_s < 0 or (self.batching == way.INTERVAL and not self.trigger_s):
            raise ValueError(
                f"trigger_s must be >= 0, with batching interval > 0, not {self.trigger_s}"
            )
        for name in ("executors", "cores_per_executor", "arrow_batch_images"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, not {getattr(self, name)}")


def program(raw: dict[str, Any], commands: Commands) -> None:
    """Run `classify`: events submitted, ready, batch ..., done (after `stop`)."""
    spec = parse(ClassifySpec, raw)
    shape = tuple(spec.image_shape or datasets.load(spec.dataset).image_shape)
    files = model_files.read(spec.model, shape)
    emit("submitted", at=time.time())
    session = spark_session.start(spec, spec.conf)
    classifier = Classifier(session, spec, files)
    follow = classifier.slices if spec.batching == way.INTERVAL else classifier.stream
    try:
        told = follow(commands)
        effective = spark_conf.redacted(dict(session.sparkContext.getConf().getAll()))
        emit(
            "done",
            at=time.time(),
            **told,
            executors=spark_session.executors(session),
            effective_conf=effective,
            source_options=spark_conf.redacted(classifier.source_options),
            sink_options=spark_conf.redacted(classifier.sink_options),
            versions=spark_session.versions(session),
        )
    finally:
        session.stop()


class Classifier:
    """A session that classifies; each way to batch returns what event `done` tells of it."""

    def __init__(
        self, session: "SparkSession", spec: ClassifySpec, files: model_files.ModelFiles
    ) -> None:
        self._session = session
        self._spec = spec
        self._files = files
        self._way = way.Way(spec.conversion, spec.calls, spec.arrow_batch_images)
        self._broadcast = session.sparkContext.broadcast(files)
        self.source_options = spark_conf.source_options(
            spec.settings, spec.bootstrap, spec.topic, spec.max_offsets_per_trigger
        )
        self.sink_options = spark_conf.sink_options(spec.settings, spec.bootstrap)

    def stream(self, commands: Commands) -> dict[str, Any]:
        """Batching `backlog`, until `stop`."""
        Path(self._spec.run_dir).mkdir(parents=True, exist_ok=True)
        if self._spec.conversion == way.ARROW:
            lean = self._spec.settings == way.LEAN and self._spec.async_progress
            self.sink_options |= self._query_options(self._spec.progress_every_ms if lean else None)
            query = backlog.start(self._streamed_arrow, self._spec.trigger_s)
        else:
            query = backlog.start(self._streamed_rows, self._spec.trigger_s)
        self._ready()
        follower = backlog.follow(query, commands, self._spec.stop_timeout_s)
        return {
            "batches": follower.last_batch_id + 1,
            "missed_batches": follower.missed,
            "empty_triggers": follower.empty_triggers,
        }

    def slices(self, commands: Commands) -> dict[str, Any]:
        """Batching `interval`, until `stop`."""
        # Named, so that executors keep their consumers from one batch to the next.
        group = {"kafka.group.id": f"{self._spec.topic}-{self._spec.app_name}"}
        self.source_options |= group
        kafka = kafka_access.java(self._spec.bootstrap)
        ends = intervals.KafkaEnds(self._session, self._spec.topic, kafka)
        self._ready()
        batches, empty_ticks = intervals.work_off(
            ends, self._spec.trigger_s, self._classify_slice, commands
        )
        ends.close()
        return {"batches": batches, "missed_batches": [], "empty_triggers": empty_ticks}

    def _ready(self) -> None:
        emit(
            "ready",
            at=time.time(),
            executors=spark_session.executors(self._session),
            model_key=self._files.key,
        )

    def _task(self, batch_id: int | None = None) -> "worker.Classify":
        from streambed.pipelines import worker

        key, shape = self._files.key, self._files.image_shape
        outlets = worker.Outlets(self._spec.result_topic, self._spec.dead_letter_topic)
        return worker.Classify(key, shape, self._broadcast, outlets, self._way, batch_id)

    def _query_options(self, progress_every_ms: int | None) -> dict[str, str]:
        checkpoint = f"file://{Path(self._spec.run_dir).resolve() / 'checkpoint'}"
        return spark_conf.query_options(checkpoint, progress_every_ms)

    def _source(self) -> "DataFrame":
        return self._session.readStream.format("kafka").options(**self.source_options).load()

    def _streamed_arrow(self) -> "DataStreamWriter":
        checks = None
        if self._spec.reference is not None:
            right = answers.load(self._spec.dataset, self._spec.reference)
            checks = self._session.sparkContext.broadcast(right)
        stage, source = self._spec.stage, self._source()
        return stages.writer(stage, source, self._task(), self.sink_options, checks)

    def _streamed_rows(self) -> "DataStreamWriter":
        writer = self._source().writeStream.options(**self._query_options(None))
        return writer.foreachBatch(self._classify_batch)

    def _classify_slice(self, part: intervals.Slice) -> None:
        options = self.source_options | {
            "startingOffsets": intervals.offsets_json(self._spec.topic, part.start),
            "endingOffsets": intervals.offsets_json(self._spec.topic, part.end),
        }
        frame = self._session.read.format("kafka").options(**options).load()
        self._classify_batch(frame, part.batch_id)

    def _classify_batch(self, frame: "DataFrame", batch_id: int) -> None:
        from streambed.pipelines import row_worker, worker

        task = self._task(batch_id)
        if self._spec.conversion == way.ROWS:
            results = row_worker.results(frame, task, batch_id)
        else:
            results = frame.selectExpr(*task.columns).mapInArrow(task, worker.RESULT_SCHEMA)
        results.write.format("kafka").options(**self.sink_options).save()
