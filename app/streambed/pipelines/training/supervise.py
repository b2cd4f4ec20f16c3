"""A stretch of a training, watched from the driver: what its ranks tell, and when it is lost.

The Spark job runs in a thread; this one hears the ranks. What ends a stretch early:

- a rank says that it failed, or is not one that was asked for: no other stretch would fare better,
  so the training fails;
- a rank is gone, the job fails, or an executor is another one than before: the stretch is lost;
- nobody is heard any more, or the time is over: the job is cancelled, which kills its tasks.

Who is gone may have been ended by mpiexec since another one failed, and that one's word may come a
moment later: so the cause is looked for before a stretch counts as lost.
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

GRACE_S = 3.0
"""For words that come after a rank is gone, and for the end of its job."""

_HEAR_S = 1.0
_LONGEST_REASON = 1500


class Lost(Exception):
    """A worker, or a rank on it, is gone; what it was doing can be taken up again."""

    def __init__(self, reason: str, *, workers_stay: bool = False) -> None:
        super().__init__(reason)
        self.workers_stay = workers_stay
        """Whether it was a rank alone: every executor is the one that it was."""


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
        try:
            found = spark_session.executor_hosts(session)
        except ServiceError:
            return True  # it has one that it knows nothing of yet
        if set(found) != set(executors):
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
            # Also while they talk all the time: that is no reason to go on for ever.
            watched.look()
            if message is None and not spark.running:
                raise Lost(f"its Spark job ended: {spark.error or 'with ranks still at work'}")
        spark.join(END_S)
        if spark.running:
            raise ServiceError(f"the ranks are done, their job did not end within {END_S:g} s")
        if spark.error is not None:
            raise ServiceError(f"the ranks are done, their job failed: {spark.error}")
    except Lost as lost:
        reason = _cause(str(lost), ears, spark, watched)
        spark.cancel()
        stay = not _changed(session, executors)
        if stay and not watched.gone:
            # Every worker is there, so it would happen again.
            raise ServiceError(reason) from lost
        raise Lost(reason, workers_stay=stay) from lost
    finally:
        if spark.running:
            spark.cancel()


def _cause(first: str, ears: Ears, spark: _Job, watched: "_Watched") -> str:
    """Why a stretch is lost: `first`, what ranks said after it, and why their job ended.

    Raises:
        ServiceError: a rank says now that it failed; the others were ended with it.
    """
    words = [first]
    deadline = time.monotonic() + GRACE_S
    while (left_s := deadline - time.monotonic()) > 0:
        message = ears.hear(min(left_s, _HEAR_S))
        if message is not None:
            try:
                watched.take(message)
            except Lost as lost:
                words.append(str(lost))
        elif not spark.running:
            break
    if spark.error is not None and str(spark.error) not in first:
        words.append(str(spark.error))
    return "; ".join(dict.fromkeys(words))[:_LONGEST_REASON]


class _Watched:
    """What is known of the ranks of a stretch."""

    def __init__(self, ranks: int, deadlines: Deadlines) -> None:
        self._ranks = ranks
        self._deadlines = deadlines
        self._began = self._heard_at = time.monotonic()
        self._here: set[int] = set()
        self._done: set[int] = set()
        self.gone = False
        """Whether a rank's end was heard of, and not merely its silence."""

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
        rank, who = message.fields.get("rank"), _name(message)
        if message.kind == channel.HELLO and isinstance(rank, int):
            self._here.add(rank)
        elif message.kind == channel.DONE and isinstance(rank, int):
            self._done.add(rank)
        elif message.kind == channel.FAILED:
            raise ServiceError(f"{who} failed: {message.fields.get('reason')}")
        elif message.kind == channel.STRANDED:
            self.gone = True
            raise Lost(f"{who} cannot go on: {message.fields.get('reason')}")
        elif message.kind == channel.GONE:
            self.gone = True
            raise Lost(f"{who} is gone without a word")

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


def _name(message: Message) -> str:
    """`rank 1 on 10.83.3.22`; one that failed early does not know its number yet."""
    rank, address = message.fields.get("rank"), message.fields.get("address")
    who = "a rank" if rank is None else f"rank {rank}"
    return who if address is None else f"{who} on {address}"
