"""`batch`: a Spark driver that evaluates a data set in keyed chunks, one job after the other.

    parallelize(one list per slice) -> flatMap -> partitionBy(p) -> mapPartitions -> collect

As published: chunks with texts as keys, input of one slice, PySpark's own hash, and a thread that
takes a partition works through all of its chunks. `even` and `weighted` also cut the input into one
slice per executor, each with the chunks that `assignment.by_node` means for it: executors take the
slices in turn, so that what a partition reads lies on one node, and nodes get equal work. What that
does to where tasks run is told in locality.py.

Everything that is no setting of the application is said with each job, so that many jobs share one
application. Before the first one, and whenever `warm` asks for it, every thread's Python worker is
started and has its model.
"""

import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streambed.pipelines import (
    answers,
    assignment,
    chunks,
    datasets,
    event_log,
    locality,
    model_files,
    spark_conf,
    spark_session,
    way,
)
from streambed.pipelines.assignment import EQUAL
from streambed.pipelines.errors import ServiceError, SpecError
from streambed.pipelines.protocol import Commands, emit
from streambed.pipelines.spec import parse

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

EVENT_LOG_TIMEOUT_S = 30.0

ONE_PLAIN_FILE = {"spark.eventLog.rolling.enabled": "false", "spark.eventLog.compress": "false"}
"""So that it can be read while it is written."""


@dataclass(frozen=True)
class BatchSpec:
    """The application; times in seconds, memory in Spark's notation.

    One executor with `cores_per_executor` threads on each of `executors` workers. `key_seed` is
    PYTHONHASHSEED of the Python workers. Each thread classifies `warm_up_images` before `ready`.
    """

    master_url: str
    driver_address: str
    model: model_files.ModelSpec
    reference: str
    locality_timer: str
    prefer_node: bool
    dataset: str = datasets.MNIST
    executors: int = 1
    cores_per_executor: int = 8
    key_seed: int = 0
    warm_up_images: int = 2000
    executor_memory: str = f"{spark_conf.EXECUTOR_MEMORY_MIB}m"
    driver_memory: str = f"{spark_conf.DRIVER_MEMORY_MIB}m"
    arrow_batch_images: int = way.CHUNK_IMAGES
    settings: str = way.LEAN
    driver_port: int = 7001
    driver_block_port: int = 7002
    executor_block_port: int = 7003
    executor_java_options: str | None = None
    driver_java_options: str | None = None
    event_log_dir: str = spark_conf.EVENTS
    app_name: str = "streambed-batch"

    def __post_init__(self) -> None:
        way.one_of("locality_timer", self.locality_timer, locality.TIMERS)
        if self.key_seed < 0 or self.warm_up_images < 0:
            raise ValueError("key_seed and warm_up_images must be >= 0")
        if self.executors < 1 or self.cores_per_executor < 1:
            raise ValueError("executors and cores_per_executor must be >= 1")

    @property
    def threads(self) -> int:
        """Of all executors."""
        return self.executors * self.cores_per_executor


@dataclass(frozen=True)
class JobSpec:
    """One job: command `job` has these fields beside `command`.

    `service_s` is the time of a chunk of the mean size, of chunk work `timed`.
    """

    name: str
    partitions: int
    assignment: str
    chunk_work: str
    locality_wait_s: float
    chunks: int = 40
    chunk_images: int = 5000
    chunk_sizes: str = EQUAL
    service_s: float = 1.0

    def __post_init__(self) -> None:
        way.one_of("assignment", self.assignment, assignment.ASSIGNMENTS)
        way.one_of("chunk_work", self.chunk_work, chunks.WORKS)
        way.one_of("chunk_sizes", self.chunk_sizes, assignment.SIZES)
        if min(self.partitions, self.chunks, self.chunk_images) < 1:
            raise ValueError("partitions, chunks and chunk_images must be >= 1")
        if min(self.locality_wait_s, self.service_s) < 0:
            raise ValueError("locality_wait_s and service_s must be >= 0")


def program(raw: dict[str, Any], commands: Commands) -> None:
    """Run `batch`: events submitted, ready, and done (after `stop`).

    In between a `job` for each command `job`, and a `warm` (same name) for each command `warm`.
    """
    spec = parse(BatchSpec, raw)
    dataset = datasets.load(spec.dataset)
    files = model_files.read(spec.model, dataset.image_shape)
    right = answers.load(spec.dataset, spec.reference)
    emit("submitted", at=time.time())
    # PySpark gives it to the Python workers.
    os.environ["PYTHONHASHSEED"] = str(spec.key_seed)
    ways = locality.Locality(spec.locality_timer, spec.prefer_node)
    session = spark_session.start(spec, {**ONE_PLAIN_FILE, **ways.settings()})
    try:
        batch = Batch(session, spec, dataset, files, right)
        batch.begin()
        emit(
            "ready",
            at=time.time(),
            executors=batch.executors(),
            model_key=files.key,
            effective_conf=spark_conf.redacted(dict(session.sparkContext.getConf().getAll())),
            versions=spark_session.versions(session),
        )
        jobs = 0
        while (command := (message := commands.take()).pop("command")) != "stop":
            if command == "warm":
                batch.warm()
                emit("warm", at=time.time(), name=message["name"])
            elif command == "job":
                batch.run(parse(JobSpec, message, "job"))
                jobs += 1
            else:
                raise SpecError(f"unknown command {command!r}; allowed: job, warm, stop")
        emit("done", at=time.time(), jobs=jobs)
    finally:
        session.stop()


class Batch:
    """An application that runs jobs."""

    def __init__(
        self,
        session: "SparkSession",
        spec: BatchSpec,
        dataset: datasets.Dataset,
        files: model_files.ModelFiles,
        right: answers.Answers,
    ) -> None:
        self._session = session
        self._context = session.sparkContext
        self._spec = spec
        self._images = dataset.images
        self._evaluate = chunks.Evaluate(
            files.key,
            dataset.image_shape,
            len(dataset.images),
            self._context.broadcast(files),
            self._context.broadcast(right),
        )
        ways = locality.Locality(spec.locality_timer, spec.prefer_node)
        self._settings = (locality.WAIT, *ways.settings())
        application = self._context.applicationId
        self._log = event_log.Tail(Path(spec.event_log_dir) / f"{application}.inprogress")

    def executors(self) -> dict[str, dict[str, Any]]:
        """Id → `host` and `cores` of every executor."""
        return spark_session.executors(self._session)

    def begin(self) -> None:
        """Warm all threads, then run one job of empty chunks: what is cold in Spark is no figure.

        Raises:
            ServiceError: there are fewer executors than asked for.
        """
        self.warm()
        threads = self._spec.threads
        rehearsal = JobSpec(
            name="warm-up",
            partitions=threads,
            assignment=assignment.EVEN,
            chunk_work=chunks.TIMED,
            locality_wait_s=0.0,
            chunks=threads,
            service_s=0.0,
        )
        self._evaluated(rehearsal)

    def warm(self) -> None:
        """Start every thread's Python worker that is not there, with its model.

        Raises:
            ServiceError: there are fewer executors than asked for.
        """
        found = len(self.executors())
        if found != self._spec.executors:
            raise ServiceError(
                f"{found} of {self._spec.executors} executors started; each needs a worker that "
                f"offers {self._spec.cores_per_executor} cores and {self._spec.executor_memory}"
            )
        threads, images = self._spec.threads, self._images[: self._spec.warm_up_images]
        work = chunks.WarmUp(self._evaluate, images)
        slots = self._context.parallelize(range(threads), threads).barrier()
        self._context.setJobGroup("warm", "every thread's Python worker")
        spark_session.calling(slots.mapPartitions(work).collect, "the warm-up failed")

    def run(self, job: JobSpec) -> None:
        """Run a job and emit what it reported, and what Spark's event log tells of it."""
        before = self.executors()
        spark_session.change(self._session, locality.wait_setting(job.locality_wait_s))
        reports = self._evaluated(job)
        told, tasks = self._log.ended(job.name, EVENT_LOG_TIMEOUT_S)
        emit(
            "job",
            at=time.time(),
            name=job.name,
            submitted_s=told.submitted_s,
            ended_s=told.ended_s,
            chunks=reports,
            tasks=[asdict(task) for task in tasks],
            executors_before=before,
            executors=self.executors(),
            settings=spark_session.in_force(self._session, self._settings),
        )

    def _evaluated(self, job: JobSpec) -> list[chunks.Report]:
        parts = assignment.relative_sizes(job.chunks, job.chunk_sizes)
        service_s = job.service_s if job.chunk_work == chunks.TIMED else None
        cut = chunks.cut(self._images, parts, job.chunk_images, service_s)
        found = assignment.partition_of(job.assignment, parts, job.partitions, self._spec.key_seed)
        published = job.assignment == assignment.HASH
        groups = assignment.by_node(found, 1 if published else self._spec.executors)
        slices = [[(assignment.key_of(i), cut[i]) for i in group] for group in groups]
        self._context.setJobGroup(job.name, job.name)
        pairs = self._context.parallelize(slices, len(slices)).flatMap(chunks.members)
        if published:
            spread = pairs.partitionBy(job.partitions)
        else:
            table = {assignment.key_of(index): to for index, to in enumerate(found)}
            spread = pairs.partitionBy(job.partitions, assignment.Lookup(table))
        reports: list[chunks.Report] = spark_session.calling(
            spread.mapPartitions(self._evaluate).collect, f"job {job.name} failed"
        )
        return reports
