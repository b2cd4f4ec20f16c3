"""`training`: a Spark driver that prepares images on the workers and trains a network there.

    images -> Spark job: decode, normalise, augment, split -> files on the workers
           -> ranks in Spark tasks, by an engine -> checkpoint after each epoch -> weights file

A stretch is one start of all ranks. When a worker is lost, its ranks end, and with them all others;
the next stretch goes on from the last checkpoint with what is there, where the batch can be shared
by it. Nothing waits without a deadline: see `Deadlines`.

The checkpoint is in the driver's memory and, for who looks when the driver is gone, in a file.
"""

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streambed.pipelines import datasets, durable, spark_conf, spark_session, weights
from streambed.pipelines.errors import ServiceError, SpecError
from streambed.pipelines.protocol import Commands, emit, say
from streambed.pipelines.spec import parse
from streambed.pipelines.training import channel, names, perceptron, prepare, state, supervise
from streambed.pipelines.training.asked import TrainingSpec, settings
from streambed.pipelines.training.channel import Ears, Start
from streambed.pipelines.training.job import RankJob
from streambed.pipelines.training.progress import Progress
from streambed.pipelines.training.roll import Roll
from streambed.pipelines.training.supervise import Deadlines, Lost

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MOST_STRETCHES = 4
"""Workers that are lost again and again are no accident."""

MOST_ALONE = 1
"""Times that ranks may be gone while every worker stays: whatever ended them is there, too."""

PATIENCE_S = 20.0
"""After a loss: how long a worker that comes back is waited for, when the rest could go on."""

LONGEST_WAIT_S = 180.0
"""And when it could not."""

CLEAN_S = 30.0
"""For removing what a training leaves on the workers, when its figures are told."""

_LOOK_S = 1.0


def program(raw: dict[str, Any], commands: Commands) -> None:
    """Run `training`: events submitted, ready, prepared, rank ..., beat ..., epoch ..., done.

    An event `lost` stands between two stretches.
    """
    del commands
    spec = parse(TrainingSpec, raw)
    training = datasets.undecoded(spec.dataset, "train")
    test = datasets.undecoded(spec.dataset, "test")
    if training.image_shape != test.image_shape:
        raise SpecError(
            f"{spec.dataset}: the first image to train with has shape {training.image_shape}, the "
            f"first one to test with {test.image_shape}; all must have one shape"
        )
    emit("submitted", at=time.time())
    session = spark_session.start(
        spec,
        settings(spec, training.raw_bytes + test.raw_bytes),
        python=names.environment(spec.engine),
    )
    try:
        at_work = Training(session, spec, training, test)
        found = at_work.await_slots()
        emit(
            "ready",
            at=time.time(),
            executors=found,
            effective_conf=spark_conf.redacted(dict(session.sparkContext.getConf().getAll())),
            versions=spark_session.versions(session),
        )
        emit("done", at=time.time(), **at_work.run())
        # What is left goes with the application's directories, a day later.
        with contextlib.suppress(ServiceError):
            supervise.within(
                session, "cleaning", lambda: prepare.clean(session, at_work.slots), CLEAN_S
            )
    finally:
        session.stop()


class Training:
    """One training from its images to its weights."""

    def __init__(
        self,
        session: "SparkSession",
        spec: TrainingSpec,
        training: datasets.Undecoded,
        test: datasets.Undecoded,
    ) -> None:
        self._session = session
        self._spec = spec
        self._training = training
        self._test = test
        self._classes = int(max(training.labels.max(), test.labels.max())) + 1
        self._ears = Ears(spec.driver_address, spec.ears_port)
        self._reached = Progress()
        self._alone = 0
        self._ends_at = time.monotonic() + spec.deadline_s
        self.slots = spec.slots
        """Of the stretch under way."""

    def run(self) -> dict[str, Any]:
        """Train to the end; the figures of event `done`.

        Raises:
            ServiceError: a rank failed, too much was lost, or the time is over.
        """
        causes: list[str] = []
        try:
            for stretch in range(1, MOST_STRETCHES + 1):
                self._reached.begin()
                began = time.monotonic()
                try:
                    return self._stretch(stretch)
                except Lost as lost:
                    causes.append(str(lost))
                    self._note(lost, stretch, time.monotonic() - began)
            raise ServiceError(f"workers were lost in {MOST_STRETCHES} stretches, one by one")
        except ServiceError as error:
            # What began it must not be hidden by what came of it.
            if causes and causes[0] not in str(error):
                raise ServiceError(f"{error}; first: {causes[0]}") from error
            raise
        finally:
            self._ears.close()

    def _note(self, lost: Lost, stretch: int, took_s: float) -> None:
        """Count a loss.

        Raises:
            ServiceError: it was none of a worker, again.
        """
        reached = self._reached
        reached.lose(took_s)
        say(f"stretch {stretch} ended: {lost}")
        emit(
            "lost",
            at=time.time(),
            stretch=stretch,
            reason=str(lost),
            epochs=reached.epochs,
            workers_stay=lost.workers_stay,
        )
        self._alone += lost.workers_stay
        if self._alone > MOST_ALONE:
            raise ServiceError(f"{lost}; every worker is there, and it is not the first time")

    def _can_share(self, slots: int) -> bool:
        shared = self._spec.engine in names.RANKED
        return slots > 0 and not (shared and self._spec.batch_size % slots)

    def await_slots(self) -> dict[str, str]:
        """Wait for the executors of a stretch, whose slots are then in `slots`; id → host of each.

        All that the spec asks for are wanted. After a loss they are waited for a while, then fewer
        will do, when the batch can be shared by them.

        Raises:
            ServiceError: there are too few, or a number that cannot share the batch.
        """
        spec, began = self._spec, time.monotonic()
        after_loss = self._reached.losses > 0
        longest_s = min(LONGEST_WAIT_S if after_loss else spec.start_s, self._left_s())
        while True:
            executors = spark_session.executor_hosts(self._session)
            slots = len(executors) * spec.ranks
            waited_s = time.monotonic() - began
            fewer = after_loss and waited_s > PATIENCE_S and self._can_share(slots)
            if slots == spec.slots or fewer:
                self.slots = slots
                if after_loss:
                    self._reached.waited(waited_s)
                return executors
            if waited_s > longest_s:
                raise ServiceError(
                    f"{len(executors)} of {spec.executors} executors are there after "
                    f"{longest_s:g} s; a batch of {spec.batch_size} needs all, or after a loss as "
                    "many as can share it"
                )
            time.sleep(_LOOK_S)

    def _stretch(self, stretch: int) -> dict[str, Any]:
        """Prepare, train, and return the figures.

        Raises:
            Lost: a worker was lost on the way.
        """
        name = f"{self._spec.name}-{stretch}"
        executors = self.await_slots()
        began = time.monotonic()
        with supervise.losses(self._session, executors):
            longest_s = min(self._spec.start_s, self._left_s())
            written = supervise.within(
                self._session, f"preparing {name}", lambda: self._prepare(name), longest_s
            )
        took_s = time.monotonic() - began
        self._reached.prepared(took_s)
        emit("prepared", at=time.time(), stretch=stretch, took_s=took_s, shards=written)
        job = self._job(name, stretch)
        if self._spec.engine == names.SPARK_MLP:
            with supervise.losses(self._session, executors):
                return self._fit(job)
        self._train(job, executors, self._roll(job, executors, written))
        return self._figures()

    def _prepare(self, name: str) -> list[dict[str, Any]]:
        return prepare.prepare(
            self._session,
            name,
            self.slots,
            self._training,
            self._test,
            augment=self._spec.augment,
            seed=self._spec.seed,
        )

    def _job(self, name: str, stretch: int) -> RankJob:
        spec = self._spec
        return RankJob(
            network=names.NETWORK,
            image_shape=self._training.image_shape,
            classes=self._classes,
            images=len(self._training.labels),
            ranks=self.slots,
            batch_size=spec.batch_size,
            epochs=spec.epochs,
            iterations=spec.iterations,
            seed=spec.seed,
            shards=name,
            stretch=stretch,
            driver_address=spec.driver_address,
            driver_port=spec.ears_port,
            key=self._ears.key.hex(),
            start_s=spec.start_s,
            stall_s=spec.stall_s,
        )

    def _roll(self, job: RankJob, executors: dict[str, str], written: list[dict[str, Any]]) -> Roll:
        return Roll(
            engine=self._spec.engine,
            ranks=job.ranks,
            each=self._spec.ranks,
            images=job.steps.rank_images,
            nodes=frozenset(executors.values()),
            homes={int(entry["shard"]): str(entry["address"]) for entry in written},
        )

    def _left_s(self) -> float:
        """Until the whole training is over.

        Raises:
            ServiceError: it is.
        """
        left_s = self._ends_at - time.monotonic()
        if left_s <= 0:
            raise ServiceError(f"the training took more than {self._spec.deadline_s:g} s")
        return left_s

    def _deadlines(self) -> Deadlines:
        # A rank that stands still ends itself first, and says why.
        return Deadlines(self._spec.start_s, 1.5 * self._spec.stall_s, self._left_s())

    def _train(self, job: RankJob, executors: dict[str, str], roll: Roll) -> None:
        reached = self._reached
        self._ears.begin(Start(job.stretch, reached.epochs, reached.state, roll))
        reached.ranks = []
        launched = time.monotonic()
        for message in supervise.stretch(
            self._session, self._spec.engine, job, self._ears, executors, self._deadlines()
        ):
            fields = {name: value for name, value in message.fields.items() if name != "at"}
            if message.kind == channel.HELLO:
                reached.ranks.append(fields)
                if len(reached.ranks) == job.ranks:
                    reached.launched(time.monotonic() - launched)
                emit("rank", at=time.time(), **fields)
            elif message.kind == channel.BEAT:
                emit("beat", at=time.time(), **fields)
            elif message.kind == channel.EPOCH:
                reached.reach({**fields, "ranks": job.ranks}, message.data)
                self._keep_checkpoint()
                emit("epoch", at=time.time(), **reached.curve[-1])

    def _keep_checkpoint(self) -> None:
        reached, path = self._reached, self._spec.checkpoint
        if path is not None:
            data = state.checkpoint(reached.state, reached.epochs, reached.updates)
            durable.replace(Path(path), data)

    def _figures(self) -> dict[str, Any]:
        reached, spec = self._reached, self._spec
        reached.end()
        description = weights.Description(names.NETWORK, self._training.image_shape, self._classes)
        data = state.artefact(reached.state, description)
        durable.replace(Path(spec.out), data)
        if spec.checkpoint is not None:
            Path(spec.checkpoint).unlink(missing_ok=True)
        last = reached.curve[-1]
        return {
            **reached.figures,
            "train_s": sum(entry["train_s"] for entry in reached.curve),
            "evaluate_s": sum(entry["evaluate_s"] for entry in reached.curve),
            "images": reached.images,
            "updates": reached.updates,
            "curve": reached.curve,
            **{name: last[name] for name in ("test_loss", "top1", "top5")},
            "out": spec.out,
            "sha256": weights.digest(data),
        }

    def _fit(self, job: RankJob) -> dict[str, Any]:
        """Engine `spark-mlp`: one job of Spark's own, which begins anew when a worker is lost."""
        found = supervise.within(
            self._session, job.shards, lambda: perceptron.fit(self._session, job), self._left_s()
        )
        self._reached.end()
        curve = [
            {"epoch": number, "loss": loss, "ranks": job.ranks, "stretch": job.stretch}
            for number, loss in enumerate(found.pop("losses")[1:], 1)
        ]
        for entry in curve:
            emit("epoch", at=time.time(), **entry)
        return {
            **found,
            **self._reached.figures,
            "updates": found["iterations"],
            "curve": curve,
            "out": None,
            "sha256": None,
        }
