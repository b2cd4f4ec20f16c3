"""Gate 8: nobody else took the processors while the cell ran.

Two thieves are counted: the hypervisor (steal), and processes of the host that are no node of the
bed (its busy time less what the nodes' control groups used). CPU pressure is recorded, but does not
decide: quotas that sum up to the host's cores keep tasks waiting by design.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from streambed.gates.reading import Reading
from streambed.runner.remote import Session

TICKS_PER_S = 100  # USER_HZ, fixed in the kernel's interface

_SCRIPT = """head -n 1 /proc/stat
cat /sys/fs/cgroup/cpuacct/cpuacct.usage 2>/dev/null ||
    awk '/^usage_usec/ {print $2 "000"}' /sys/fs/cgroup/cpu.stat 2>/dev/null || echo none
grep -s '^some' /proc/pressure/cpu || true"""


@dataclass(frozen=True)
class CpuTimes:
    """Seconds since the host's start; all processors together."""

    total_s: float
    busy_s: float
    """Used by anything on this host; steal is not in it."""
    steal_s: float
    pressure_s: float
    """Time in which some task waited for a processor (0 where the kernel does not tell)."""
    node_s: float | None
    """Used by the node itself; None where it is the whole machine."""


@dataclass(frozen=True)
class Taken:
    """Shares of the host's CPU time over an interval, 0 to 1."""

    steal: float
    foreign: float
    """By processes of the host outside of the bed's nodes; 0 where nodes are whole machines."""
    pressure: float


def parse(text: str) -> CpuTimes:
    """Read what `_SCRIPT` prints: the `cpu` line, the node's usage in ns, the pressure line."""
    stat, usage, *pressure = text.splitlines()
    # user nice system idle iowait irq softirq steal: guest times are part of user and nice
    ticks = [int(word) for word in stat.split()[1:9]]
    idle = ticks[3] + ticks[4]
    return CpuTimes(
        total_s=sum(ticks) / TICKS_PER_S,
        busy_s=(sum(ticks) - idle - ticks[7]) / TICKS_PER_S,
        steal_s=ticks[7] / TICKS_PER_S,
        pressure_s=int(pressure[0].rsplit("total=", 1)[1]) / 1e6 if pressure else 0.0,
        node_s=int(usage) / 1e9 if usage.isdigit() else None,
    )


async def read(sessions: Sequence[Session]) -> tuple[CpuTimes, ...]:
    """Read the counters of every node, at once."""
    done = await asyncio.gather(*(session.run(["sh", "-c", _SCRIPT]) for session in sessions))
    return tuple(parse(completed.stdout) for completed in done)


@dataclass
class Watched:
    """A stretch of time and what happened to the processors in it; whole when it has ended."""

    before: tuple[CpuTimes, ...]
    after: tuple[CpuTimes, ...] = ()
    elapsed_s: float = 0.0

    @property
    def taken(self) -> Taken:
        """What others took of it."""
        return taken(self.before, self.after, self.elapsed_s)


@contextlib.asynccontextmanager
async def watching(sessions: Sequence[Session]) -> AsyncIterator[Watched]:
    """Watch the nodes while the block runs; what comes out is whole only if the block ends well."""
    watched, began = Watched(await read(sessions)), time.monotonic()
    yield watched
    watched.elapsed_s = time.monotonic() - began
    watched.after = await read(sessions)


def taken(before: Sequence[CpuTimes], after: Sequence[CpuTimes], elapsed_s: float) -> Taken:
    """What others took between two readings, the worst node's where nodes are whole machines.

    Args:
        before: one reading per node.
        after: the same nodes, in the same order.
        elapsed_s: time between the readings, seconds.
    """
    totals = [late.total_s - early.total_s for early, late in zip(before, after, strict=True)]
    steal = max(
        (late.steal_s - early.steal_s) / total
        for early, late, total in zip(before, after, totals, strict=True)
    )
    pressure = max(
        (late.pressure_s - early.pressure_s) / elapsed_s
        for early, late in zip(before, after, strict=True)
    )
    used = [
        late.node_s - early.node_s
        for early, late in zip(before, after, strict=True)
        if early.node_s is not None and late.node_s is not None
    ]
    foreign = 0.0
    if len(used) == len(before):  # all nodes share the host whose counters they show
        busy = after[0].busy_s - before[0].busy_s
        foreign = max(0.0, busy - sum(used)) / totals[0]
    return Taken(steal=steal, foreign=foreign, pressure=pressure)


def judge(seen: Taken, limit: float, gate: str = "cpu_taken_by_others") -> Reading:
    """Flag the cell when others took more than `limit` of the host's CPU time, a fraction."""
    return Reading(
        gate=gate,
        ok=seen.steal + seen.foreign <= limit,
        measured=round(seen.steal + seen.foreign, 4),
        expected=f"at most {limit:g} of the host's CPU time (steal {seen.steal:.3f}, "
        f"other processes {seen.foreign:.3f})",
        flag="contended",
    )
