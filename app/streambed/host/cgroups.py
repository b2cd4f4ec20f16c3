"""Which cgroup layout the host has, and whether systemd can live on it in a container."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from streambed.host.finding import Finding, State

_NEEDED = frozenset({"cpu", "memory"})
_MOUNT_SYSTEMD = (
    "mkdir -p /sys/fs/cgroup/systemd && "
    "mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd"
)


@dataclass(frozen=True)
class Layout:
    """The cgroup hierarchies that are mounted."""

    version: int
    """2 when the one at /sys/fs/cgroup is the unified one, 1 otherwise."""
    controllers: frozenset[str]
    systemd: bool
    """With version 1: the named hierarchy that systemd keeps its units in."""


def parse(mounts: Iterable[str], unified_controllers: str) -> Layout:
    """The layout from the lines of /proc/self/mounts and cgroup.controllers of version 2."""
    fields = [line.split() for line in mounts]
    if any(f[1] == "/sys/fs/cgroup" and f[2] == "cgroup2" for f in fields):
        return Layout(2, frozenset(unified_controllers.split()), systemd=True)
    options = [frozenset(f[3].split(",")) for f in fields if f[2] == "cgroup"]
    every = frozenset[str]().union(*options)
    return Layout(1, every, systemd="name=systemd" in every)


def probe() -> Layout:
    """The layout of this machine."""
    controllers = Path("/sys/fs/cgroup/cgroup.controllers")
    return parse(
        Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines(),
        controllers.read_text(encoding="utf-8") if controllers.exists() else "",
    )


def judge(layout: Layout) -> Finding:
    """Controllers for the quotas, and a place for the nodes' systemd."""
    need = "cpu and memory controllers"
    if lacking := sorted(_NEEDED - layout.controllers):
        return Finding(
            "cgroups",
            need,
            f"version {layout.version} without {', '.join(lacking)}",
            State.MISSING,
            "boot with systemd.unified_cgroup_hierarchy=1 cgroup_enable=memory",
        )
    if not layout.systemd:
        found = "version 1 without the hierarchy name=systemd"
        return Finding("cgroups", need, found, State.MISSING, _MOUNT_SYSTEMD)
    if layout.version == 1:
        found = "version 1 or hybrid: works with runc, not with crun"
        return Finding("cgroups", need, found, State.NOTE)
    return Finding("cgroups", need, "version 2", State.OK)
