"""What this node's control group allows it and has used: cgroup v2's files, then v1's."""

from pathlib import Path

_V1 = "/sys/fs/cgroup/cpu"


def cpu_quota() -> float | None:
    """Cores this node's control group may use; None without a limit."""
    if limit := read("/sys/fs/cgroup/cpu.max"):
        quota, period = limit.split()
        return None if quota == "max" else int(quota) / int(period)
    quota, period = read(f"{_V1}/cpu.cfs_quota_us"), read(f"{_V1}/cpu.cfs_period_us")
    if not quota or not period or int(quota) < 0:
        return None
    return int(quota) / int(period)


def cpu_used_s() -> float | None:
    """CPU time that all of this node's processes have used, as the kernel charges it."""
    for line in read("/sys/fs/cgroup/cpu.stat").splitlines():
        name, _, value = line.partition(" ")
        if name == "usage_usec":
            return int(value) / 1e6
    usage = read("/sys/fs/cgroup/cpuacct/cpuacct.usage")
    return int(usage) / 1e9 if usage.isdigit() else None


def memory_limit_bytes() -> int | None:
    """Bytes this node's control group may use; None without a limit."""
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        limit = read(f"/sys/fs/cgroup/{name}")
        # v1 shows "no limit" as the largest multiple of a page.
        if limit.isdigit() and int(limit) < 2**62:
            return int(limit)
    return None


def read(path: str) -> str:
    """A file's text without blanks around it; nothing when it cannot be read."""
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
