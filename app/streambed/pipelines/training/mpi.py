"""The rendezvous of MPI's ranks, from Spark barrier tasks.

MPICH's `mpiexec -launcher manual` starts nothing: it prints, for each host, the command of a proxy
that starts the ranks there. Task 0 runs mpiexec, and the first task of each host its proxy. So each
rank is a descendant of a task on its own node: nothing logs in anywhere, and the limits of Spark's
worker are those of the ranks.

One node lost ends all: mpiexec sees the connection to its proxy close, ends the other ranks, and
fails; so does its task, and the barrier stage with it.
"""

import json
import os
import re
import shlex
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from streambed.pipelines import spark_session
from streambed.pipelines.errors import ServiceError
from streambed.pipelines.training import shards
from streambed.pipelines.training.job import VARIABLE, RankJob

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

FOLDERS = "STREAMBED_SHARDS"
"""Environment variable: where shards of this host's executors lie, as a JSON list."""

PORTS = (7100, 7199)
"""Every port that MPI listens on, of mpiexec and of ranks."""

LINES_S = 60.0
"""Until mpiexec has told its proxies."""

_PREFIX, _END = "HYDRA_LAUNCH: ", "HYDRA_LAUNCH_END"
_TAIL = 60
_POLL_S = 0.2
_LAST_LINES_S = 2.0

_TELLING = re.compile(
    r"[\w.]*(Error|Exception|Interrupt|Refused|NoShard)\b|Fatal|rank ended:"
    r"|.*(RUNNING AT|EXIT CODE|EXIT STRING|[Kk]illed|out of memory)"
)
"""Lines that say why it ended: of a Python traceback the last one, mpiexec's of who it was."""

_MOST_TELLING = 6

# Spark kills a task that it does not want any more: what it started must not outlive it.
_WITH_US = (sys.executable, "-m", "streambed.pipelines.training.bound")


def hosts_of(addresses: Sequence[str]) -> list[str]:
    """Each host once with its ranks, `10.83.3.21:2`, in the order of the tasks.

    Args:
        addresses: of each task's executor, without ports.
    """
    return [f"{host}:{count}" for host, count in Counter(addresses).items()]


def mpiexec_command(addresses: Sequence[str], deadline_s: float) -> list[str]:
    """What task 0 runs; `deadline_s` ends mpiexec, and with it all ranks, in any case."""
    binaries = Path(sys.executable).parent
    low, high = PORTS
    return [
        *_WITH_US,
        *("env", f"MPIEXEC_TIMEOUT={round(deadline_s)}", f"MPIEXEC_PORT_RANGE={low}:{high}"),
        *(str(binaries / "mpiexec.hydra"), "-launcher", "manual"),
        # By address: what a node calls itself another one may not be able to look up.
        *("-localhost", addresses[0], "-hosts", ",".join(hosts_of(addresses))),
        # Ranks have the environment of the task on their node, and a directory that all nodes have.
        *("-genvnone", "-wdir", "/tmp", "-n", str(len(addresses))),
        # A rank that MPI holds, as while it looks for the others, cannot end itself.
        *(*_WITH_US, sys.executable, "-m", "streambed.pipelines.training.chainer_replica"),
    ]


def environment(job: RankJob, folders: Sequence[str]) -> dict[str, str]:
    """What a proxy and its ranks have beside the task's own environment."""
    low, high = PORTS
    return {
        VARIABLE: job.to_json(),
        FOLDERS: json.dumps(list(folders)),
        # TCP over the bed's network; UCX, the other way, is meant for fast interconnects.
        "MPICH_CH4_NETMOD": "ofi",
        "FI_PROVIDER": "tcp",
        "FI_TCP_PORT_LOW_RANGE": str(low),
        "FI_TCP_PORT_HIGH_RANGE": str(high),
        "MPIR_CVAR_OFI_SKIP_IPV6": "1",
        "CHAINER_WARN_VERSION_MISMATCH": "0",
    }


class Tail:
    """Reads a process's output to the end; keeps the last lines."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.lines: deque[str] = deque(maxlen=_TAIL)
        assert process.stdout is not None
        self._stream = process.stdout
        self._commands: list[str] = []
        self._told = threading.Event()
        self._reading = threading.Thread(target=self._read, name="tail", daemon=True)
        self._reading.start()

    def finish(self, timeout_s: float) -> None:
        """Wait for the last lines of what has ended; what it started may still hold the pipe."""
        self._reading.join(timeout_s)

    def _read(self) -> None:
        with self._stream:
            for line in self._stream:
                if line.startswith(_PREFIX):
                    self._commands.append(line.removeprefix(_PREFIX).strip())
                elif line.strip() == _END:
                    self._told.set()
                elif line.strip():
                    self.lines.append(line.rstrip())
        self._told.set()

    def proxies(self, timeout_s: float, expected: int) -> list[str]:
        """The commands of the proxies, one for each host.

        Raises:
            ServiceError: mpiexec does not tell them in time, or not all.
        """
        self._told.wait(timeout_s)
        if len(self._commands) != expected:
            said = last_words(self.lines)
            told = f"mpiexec told {len(self._commands)} of {expected} proxies"
            raise ServiceError(f"{told} within {timeout_s:g} s: {said}")
        return list(self._commands)


Started = tuple["subprocess.Popen[str]", Tail]


class Launch:
    """The function given to `mapPartitions`: one barrier task for each rank."""

    def __init__(self, job: RankJob, deadline_s: float) -> None:
        self._job = job
        self._deadline_s = deadline_s

    def __call__(self, _numbers: Iterable[int]) -> Iterator[str]:
        from pyspark import BarrierTaskContext

        context = BarrierTaskContext.get()
        index = context.partitionId()
        addresses = [info.address.rpartition(":")[0] for info in context.getTaskInfos()]
        here = addresses[index]
        mine = str(shards.folder_of(self._job.shards).resolve())
        folders = context.allGather(mine)
        started: list[Started] = []
        try:
            told = ""
            if index == 0:
                mpiexec = _start(mpiexec_command(addresses, self._deadline_s), dict(os.environ))
                tail = Tail(mpiexec)
                started.append((mpiexec, tail))
                told = json.dumps(tail.proxies(LINES_S, len(set(addresses))))
            commands = json.loads(context.allGather(told)[0])
            if addresses.index(here) == index:
                command = commands[list(dict.fromkeys(addresses)).index(here)]
                own = [folder for folder, at in zip(folders, addresses, strict=True) if at == here]
                more = environment(self._job, list(dict.fromkeys(own)))
                proxy = _start([*_WITH_US, *shlex.split(command)], {**os.environ, **more})
                started.append((proxy, Tail(proxy)))
            _wait(started, self._deadline_s)
        finally:
            # Also where another task failed: this process may be kept for Spark's next task.
            _end(started)
        yield here


def _start(command: Sequence[str], environ: dict[str, str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        command,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )


def _end(processes: Sequence[Started]) -> None:
    """Kill those that still run."""
    for process, _ in processes:
        if process.poll() is None:
            process.kill()
            process.wait()


def _wait(processes: Sequence[Started], deadline_s: float) -> None:
    """Until all have ended well.

    Raises:
        ServiceError: one failed, or the time is over; the others are ended first.
    """
    ends_at = time.monotonic() + deadline_s
    try:
        while any(process.poll() is None for process, _ in processes):
            for process, tail in processes:
                if process.poll():
                    raise ServiceError(_failure(process, tail))
            if time.monotonic() > ends_at:
                raise ServiceError(f"the ranks did not end within {deadline_s:g} s")
            time.sleep(_POLL_S)
        for process, tail in processes:
            if process.returncode:
                raise ServiceError(_failure(process, tail))
    finally:
        _end(processes)


def _failure(process: "subprocess.Popen[str]", tail: Tail) -> str:
    tail.finish(_LAST_LINES_S)
    arguments = process.args if isinstance(process.args, list) else [process.args]
    name = next((Path(str(a)).name for a in arguments if "mpiexec" in str(a)), "hydra_pmi_proxy")
    return f"{name} ended with status {process.returncode}: {last_words(tail.lines)}"


def last_words(lines: Iterable[str]) -> str:
    """Why it ended, of the lines that a process left: those that say so, else the last ones."""
    said = [line.strip(" =|") for line in lines]
    telling = [line for line in said if _TELLING.match(line)]
    return " | ".join((telling or said)[-_MOST_TELLING:])


def launch(session: "SparkSession", job: RankJob, deadline_s: float) -> None:
    """Start all ranks of a job and return when they have ended.

    Raises:
        ServiceError: a rank failed or was lost, or the time is over.
    """
    slots = session.sparkContext.parallelize(range(job.ranks), job.ranks).barrier()
    spark_session.calling(slots.mapPartitions(Launch(job, deadline_s)).collect, "the ranks ended")
