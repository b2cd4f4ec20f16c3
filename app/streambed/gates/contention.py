"""Gate 8: nobody else took the processors while the cell ran."""

from dataclasses import dataclass

from streambed.gates.reading import Reading
from streambed.runner.remote import Session


@dataclass(frozen=True)
class CpuTimes:
    """Clock ticks of a host's processors since its start, from /proc/stat."""

    total: int
    idle: int
    steal: int
    pressure_s: float
    """Seconds in which some task waited for a processor (0 where the kernel does not tell)."""


def parse(stat: str, pressure: str) -> CpuTimes:
    """Read the `cpu` line of /proc/stat and the `some` line of /proc/pressure/cpu."""
    # user nice system idle iowait irq softirq steal: guest times are part of user and nice
    ticks = [int(word) for word in stat.splitlines()[0].split()[1:9]]
    waited_us = 0
    for line in pressure.splitlines():
        if line.startswith("some "):
            waited_us = int(line.rsplit("total=", 1)[1])
    return CpuTimes(
        total=sum(ticks),
        idle=ticks[3] + ticks[4],
        steal=ticks[7],
        pressure_s=waited_us / 1e6,
    )


async def read(session: Session) -> CpuTimes:
    """Read the counters of the host a node runs on."""
    done = await session.run(
        ["sh", "-c", "head -n 1 /proc/stat; cat /proc/pressure/cpu 2>/dev/null || true"]
    )
    stat, _, pressure = done.stdout.partition("\n")
    return parse(stat, pressure)


def steal_fraction(before: CpuTimes, after: CpuTimes) -> float:
    """Part of the processors' time that the hypervisor gave to others, 0 to 1."""
    total = after.total - before.total
    return (after.steal - before.steal) / total if total > 0 else 0.0


def judge(steal: float, limit: float) -> Reading:
    """Flag the cell when the hypervisor took more than `limit`, a fraction.

    CPU pressure is recorded but does not decide: quotas that sum up to the host's cores keep
    tasks waiting by design.
    """
    return Reading(
        gate="cpu_steal",
        ok=steal <= limit,
        measured=round(steal, 4),
        expected=f"at most {limit:g} of the host's CPU time",
        flag="contended",
    )
