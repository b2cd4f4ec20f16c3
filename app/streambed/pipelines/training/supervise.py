"""A stretch of a training, watched from the driver: what its ranks tell, and when it is lost.

The Spark job runs in a thread; this one hears the ranks. What ends a stretch early:

- a rank says that it failed: no other stretch would fare better, so the training fails;
- a rank is gone, the job fails, or an executor is another one than before: the stretch is lost;
- nobody is heard any more, or the time is over: the job is cancelled, which kills its tasks.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from streambed.pipelines import spark_session
from streambed.pipelines.errors import ServiceError
from streambed.pipelines.training import channel, mpi, names, torch_replica
from streambed.pipelines.training.channel import Ears, Message
from streambed.pipelines.training.job import RankJob

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LAUNCHES: Mapping[str, Callable[["SparkSession", RankJob, float], None]] = {
    names.CHAINERMN: mpi.launch,
    names.TORCH: torch_replica.launch,
}
"""How the ranks of an engine are started from Spark. A new engine is one line here."""

END_S = 30.0
"""From the last word of the ranks to the end of their job; and of a job that is cancelled."""

_HEAR_S = 1.0


class Lost(Exception):
    """A worker, or a rank on it, is gone; what it was doing can be taken up again."""


@dataclass(frozen=True)
class Deadlines:
    """In seconds: until all ranks said hello, between two words of theirs, and for all of it."""

    start_s: float
    silence_s: float
    longest_s: float


class _Job:
    """A call of Spark in a thread, under a name by which it can be cancelled."""

    def __init__(self, session: "SparkSession", name: str, call: Callable[[], Any]) -> None:
        from pyspark import InheritableThread

        self._context = session.sparkContext
        self._name = name
        self.value: Any = None
        self.error: BaseException | None = None

        def run() -> None:
            self._context.setJobGroup(name, name, interruptOnCancel=True)
            try:
                self.value = call()
            except BaseException as error:  # noqa: BLE001 (told by whoever waits)
                self.error = error

        self._thread: threading.Thread = InheritableThread(target=run, daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def cancel(self) -> None:
        """Kill its tasks, and wait for its end."""
        self._context.cancelJobGroup(self._name)
        self._thread.join(END_S)

    def join(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)


def within(session: "SparkSession", name: str, call: Callable[[], Any], longest_s: float) -> Any:
    """`call()`, cancelled after `longest_s`.

    Raises:
        ServiceError: it failed, or the time is over.
    """
    job = _Job(session, name, call)
    job.join(longest_s)
    if job.running:
        job.cancel()
        raise ServiceError(f"{name} did not end within {longest_s:g} s")
    if job.error is not None:
        raise job.error
    return job.value


@contextlib.contextmanager
def losses(session: "SparkSession", executors: Mapping[str, str]) -> Iterator[None]:
    """Turn a failure into `Lost` where an executor is another one than before."""
    try:
        yield
    except ServiceError as error:
        if _changed(session, executors):
            raise Lost(str(error)) from error
        raise


def _changed(session: "SparkSession", executors: Mapping[str, str]) -> bool:
    """Whether Spark has other executors now; it may learn that one is lost a moment later."""
    deadline = time.monotonic() + END_S / 3
    while time.monotonic() < deadline:
        if set(spark_session.executor_hosts(session)) != set(executors):
            return True
        time.sleep(_HEAR_S)
    return False


def stretch(
    session: "SparkSession",
    engine: str,
    job: RankJob,
    ears: Ears,
    executors: Mapping[str, str],
    deadlines: Deadlines,
) -> Iterator[Message]:
    """Start the ranks of a job and yield what they tell, until all have done their part.

    Raises:
        Lost: a rank or its worker is gone.
        ServiceError: a rank failed, or a deadline passed with every worker there.
    """
    spark = _Job(session, job.shards, lambda: LAUNCHES[engine](session, job, deadlines.longest_s))
    watched = _Watched(job.ranks, deadlines)
    try:
        while not watched.complete:
            message = ears.hear(_HEAR_S)
            if message is not None:
                watched.take(message)
                if message.kind in (channel.HELLO, channel.BEAT, channel.EPOCH):
                    yield message
                continue
            watched.look()
            if not spark.running:
                raise Lost(f"its Spark job ended: {spark.error or 'with ranks still at work'}")
        spark.join(END_S)
        if spark.running:
            raise ServiceError(f"the ranks are done, their job did not end within {END_S:g} s")
        if spark.error is not None:
            raise ServiceError(f"the ranks are done, their job failed: {spark.error}")
    except Lost as lost:
        spark.cancel()
        if not _changed(session, executors) and not watched.gone:
            # Every worker is there, so it would happen again.
            raise ServiceError(str(lost)) from lost
        raise
    finally:
        if spark.running:
            spark.cancel()


class _Watched:
    """What is known of the ranks of a stretch."""

    def __init__(self, ranks: int, deadlines: Deadlines) -> None:
        self._ranks = ranks
        self._deadlines = deadlines
        self._began = self._heard_at = time.monotonic()
        self._here: set[int] = set()
        self._done: set[int] = set()
        self.gone = False

    @property
    def complete(self) -> bool:
        """Whether every rank has done its part."""
        return len(self._done) == self._ranks

    def take(self, message: Message) -> None:
        """Note a message.

        Raises:
            Lost: a rank is gone.
            ServiceError: it failed.
        """
        self._heard_at = time.monotonic()
        rank = int(message.fields.get("rank", -1))
        if message.kind == channel.HELLO:
            self._here.add(rank)
        elif message.kind == channel.DONE:
            self._done.add(rank)
        elif message.kind == channel.FAILED:
            raise ServiceError(str(message.fields.get("reason")))
        elif message.kind == channel.GONE:
            self.gone = True
            raise Lost(f"rank {rank} is gone")

    def look(self) -> None:
        """Look at the clock.

        Raises:
            Lost: nobody was heard for too long.
            ServiceError: the ranks did not come in time, or the time is over.
        """
        now = time.monotonic()
        if now - self._began > self._deadlines.longest_s:
            raise ServiceError(f"the ranks did not end within {self._deadlines.longest_s:g} s")
        if len(self._here) < self._ranks:
            if now - self._began > self._deadlines.start_s:
                raise Lost(
                    f"{len(self._here)} of {self._ranks} ranks came within "
                    f"{self._deadlines.start_s:g} s"
                )
        elif now - self._heard_at > self._deadlines.silence_s:
            raise Lost(f"no rank was heard for {self._deadlines.silence_s:g} s")
