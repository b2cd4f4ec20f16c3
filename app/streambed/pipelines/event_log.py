"""Spark's event log, read while its application runs: jobs, and the tasks they consisted of.

One JSON object per line, as `EventLoggingListener` writes them through `JsonProtocol`. The listener
runs beside the scheduler and flushes at the end of a job, so a job's lines come a moment after it.
Times become unix seconds.
"""

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streambed.pipelines.errors import ServiceError

POLL_S = 0.05

_GROUP = "spark.jobGroup.id"


@dataclass(frozen=True)
class Task:
    """One attempt at a partition of a stage."""

    task: int
    """Spark's id, unlike any other attempt's."""
    stage: int
    stage_attempt: int
    kind: str
    """`map` writes shuffled data, `result` works on it."""
    partition: int
    attempt: int
    executor: str
    host: str
    locality: str
    launched_s: float
    finished_s: float
    ok: bool


@dataclass
class Job:
    """A job of a group; `ended_s` None while it runs."""

    group: str
    submitted_s: float
    stages: tuple[int, ...]
    ended_s: float | None = None
    succeeded: bool = False


class EventLog:
    """What the lines told so far."""

    def __init__(self) -> None:
        self._jobs: dict[int, Job] = {}
        self._tasks: list[Task] = []

    def feed(self, lines: Iterable[str]) -> None:
        """Take more lines; events that tell nothing of jobs and tasks are skipped."""
        for line in lines:
            event = json.loads(line)
            kind = event.get("Event")
            if kind == "SparkListenerJobStart":
                self._jobs[event["Job ID"]] = Job(
                    group=(event.get("Properties") or {}).get(_GROUP, ""),
                    submitted_s=event["Submission Time"] / 1000,
                    stages=tuple(event["Stage IDs"]),
                )
            elif kind == "SparkListenerJobEnd":
                job = self._jobs[event["Job ID"]]
                job.ended_s = event["Completion Time"] / 1000
                job.succeeded = event["Job Result"]["Result"] == "JobSucceeded"
            elif kind == "SparkListenerTaskEnd":
                self._tasks.append(_task(event))

    def job(self, group: str) -> Job | None:
        """The job of a group that has ended; a group has one."""
        return next(
            (j for j in self._jobs.values() if j.group == group and j.ended_s is not None), None
        )

    def tasks(self, job: Job) -> list[Task]:
        """Every attempt of a job's tasks, in the order of their ends."""
        return [task for task in self._tasks if task.stage in job.stages]


def _task(event: dict[str, Any]) -> Task:
    info = event["Task Info"]
    return Task(
        task=info["Task ID"],
        stage=event["Stage ID"],
        stage_attempt=event["Stage Attempt ID"],
        kind="map" if event["Task Type"] == "ShuffleMapTask" else "result",
        partition=info["Partition ID"],
        attempt=info["Attempt"],
        executor=info["Executor ID"],
        host=info["Host"],
        locality=info["Locality"],
        launched_s=info["Launch Time"] / 1000,
        finished_s=info["Finish Time"] / 1000,
        ok=event["Task End Reason"]["Reason"] == "Success",
    )


class Tail:
    """The event log of an application that runs, in `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_bytes = 0
        self._log = EventLog()

    def ended(self, group: str, timeout_s: float) -> tuple[Job, list[Task]]:
        """A job that is over, once its last line has been written, with its tasks.

        Raises:
            ServiceError: it is not in the log in time, or the log cannot be read.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            self._log.feed(self._more())
            job = self._log.job(group)
            if job is not None:
                return job, self._log.tasks(job)
            if time.monotonic() > deadline:
                what = f"the end of job {group!r}"
                raise ServiceError(f"{self._path}: does not tell of {what} within {timeout_s:g} s")
            time.sleep(POLL_S)

    def _more(self) -> list[str]:
        """The lines that were completed since the last look."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._read_bytes)
                data = file.read()
        except OSError as error:
            raise ServiceError(f"{self._path}: {error.strerror}") from None
        complete = data[: data.rfind(b"\n") + 1]
        self._read_bytes += len(complete)
        # Not splitlines: JSON may hold other characters that end a line.
        return complete.decode().split("\n")[:-1]
