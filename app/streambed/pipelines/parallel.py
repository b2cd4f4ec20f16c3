"""One process per core that does the same work, started together, heard by the program's parent.

The rivals of Spark in an ablation are made of it: no scheduler, no JVM, nothing between a core and
its work but a pipe on which each process says how far it is.
"""

import multiprocessing
import os
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from streambed.pipelines import threads
from streambed.pipelines.errors import ProgramError, ServiceError
from streambed.pipelines.protocol import emit, say

START_TIMEOUT_S = 120.0

# As Spark's executors have it: activations of a few MB come and go, their pages stay.
KEEP_PAGES = {"MALLOC_MMAP_THRESHOLD_": "268435456", "MALLOC_TRIM_THRESHOLD_": "536870912"}

Report = Callable[[int], None]
"""Called with the number of images that a process has just done with."""

Work = Callable[[Report], dict[str, Any]]
"""What a process does when all are ready; returns its part of the result."""

Prepare = Callable[[Any, int, int], Work]
"""Gets the spec, the process's index and the number of processes; loads what the work needs."""


@dataclass(frozen=True)
class _Said:
    kind: str
    value: Any = None


def run(prepare: Prepare, spec: Any, processes: int) -> list[dict[str, Any]]:
    """Run `processes` of `prepare(spec, index, processes)`, emitting `ready` and `sample` events.

    A `sample` has `worker`, `at` (unix seconds) and `images`, done since that worker's last one.
    `prepare` must be a function of a module, and `spec` picklable: the processes are not forks,
    whose BLAS and Kafka threads would be those of the parent.

    Returns what each process returned, in their order.

    Raises:
        ServiceError: a process failed, died, or was not ready in time.
    """
    threads.limit(1)
    os.environ.update(KEEP_PAGES)
    context = multiprocessing.get_context("spawn")
    pipes: list[Connection] = []
    for index in range(processes):
        ours, theirs = context.Pipe()
        context.Process(
            target=_child, args=(prepare, spec, index, processes, theirs), daemon=True
        ).start()
        theirs.close()
        pipes.append(ours)
    for pipe in pipes:
        if not pipe.poll(START_TIMEOUT_S):
            raise ServiceError(f"a process was not ready within {START_TIMEOUT_S:g} s")
        _hear(pipe)
    emit("ready", at=time.time(), processes=processes)
    for pipe in pipes:
        pipe.send(_Said("go"))
    return _gather(pipes)


def _gather(pipes: list[Connection]) -> list[dict[str, Any]]:
    results: dict[int, dict[str, Any]] = {}
    while len(results) < len(pipes):
        for pipe in wait([p for i, p in enumerate(pipes) if i not in results]):
            assert isinstance(pipe, Connection)
            index, said = pipes.index(pipe), _hear(pipe)
            if said.kind == "sample":
                emit("sample", worker=index, at=said.value[0], images=said.value[1])
            else:
                results[index] = said.value
    return [results[index] for index in range(len(pipes))]


def _hear(pipe: Connection) -> _Said:
    try:
        said: _Said = pipe.recv()
    except EOFError:
        raise ServiceError("a process died") from None
    if said.kind == "failed":
        raise ServiceError(said.value)
    return said


def _child(prepare: Prepare, spec: Any, index: int, processes: int, pipe: Connection) -> None:
    try:
        work = prepare(spec, index, processes)
        pipe.send(_Said("ready"))
        pipe.recv()
        result = work(lambda images: pipe.send(_Said("sample", (time.time(), images))))
        pipe.send(_Said("done", result))
    except ProgramError as error:
        pipe.send(_Said("failed", str(error)))
    except Exception as error:  # noqa: BLE001
        # Not foreseen, so the stack trace is wanted; the parent ends everything.
        say(traceback.format_exc())
        pipe.send(_Said("failed", repr(error)))
