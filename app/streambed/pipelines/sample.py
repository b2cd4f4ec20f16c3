"""`sample`: what a node uses, once a second, by psutil's counters.

CPU time is what the kernel charges to the processes that the node shows: their own, and that of
their children which have ended. In a container the PID namespace makes this the use of the
container, on a machine of its own that of the machine (without interrupts, which the kernel charges
to no process); beside it stands the control group's own account. Memory is what only the end of a
process frees: resident pages less those backed by files or shared memory; pages that a fork shares
with its parent count in both. Threads and open files are counted too (a kernel before 6.2 does not
tell the files). Network is the interface of the node's own address. Disk is that of the machine,
which containers share.
"""

import contextlib
import socket
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from streambed.pipelines import cgroup
from streambed.pipelines.errors import ServiceError
from streambed.pipelines.process_groups import OTHER, group_of
from streambed.pipelines.protocol import Commands, emit
from streambed.pipelines.spec import parse


@dataclass(frozen=True)
class SampleSpec:
    """`address`: that of the interface to count; `every_s`: at multiples of it since the epoch."""

    address: str
    every_s: float = 1.0

    def __post_init__(self) -> None:
        if self.every_s <= 0:
            raise ValueError(f"every_s must be > 0, not {self.every_s}")


def program(raw: dict[str, Any], commands: Commands) -> None:
    """Run `sample`: events ready, sample ..., done (after `stop`); a sample at start and end."""
    spec = parse(SampleSpec, raw)
    interface = interface_of(spec.address)
    meter = Meter()
    emit(
        "ready",
        at=time.time(),
        cpus=psutil.cpu_count(),
        memory_bytes=psutil.virtual_memory().total,
        interface=interface,
        mtu_bytes=psutil.net_if_stats()[interface].mtu,
        cpus_in_force=cgroup.cpu_quota(),
        memory_bytes_in_force=cgroup.memory_limit_bytes(),
    )
    while True:
        emit("sample", **_account(), **meter.read(psutil.process_iter()), **_devices(interface))
        if commands.wait("stop", spec.every_s - time.time() % spec.every_s):
            break
    emit("sample", **_account(), **meter.read(psutil.process_iter()), **_devices(interface))
    emit("done", at=time.time())


def interface_of(address: str) -> str:
    """The interface that has an address, given as IPv4 or as a name that resolves to one."""
    try:
        wanted = socket.gethostbyname(address)
    except OSError as error:
        raise ServiceError(f"{address} does not resolve on this node: {error}") from None
    for name, entries in psutil.net_if_addrs().items():
        if any(entry.address == wanted for entry in entries):
            return name
    raise ServiceError(f"no interface of this node has the address {address}")


def _account() -> dict[str, float]:
    """The control group's CPU time, with the time of its reading; nothing without one."""
    used_s = cgroup.cpu_used_s()
    return {} if used_s is None else {"account_at_s": time.time(), "account_cpu_s": used_s}


def _devices(interface: str) -> dict[str, int]:
    """Bytes and packets since the interface and the machine came up."""
    network = psutil.net_io_counters(pernic=True)[interface]
    disk = psutil.disk_io_counters()
    counters = {
        "sent_bytes": network.bytes_sent,
        "received_bytes": network.bytes_recv,
        "sent_packets": network.packets_sent,
        "received_packets": network.packets_recv,
    }
    if disk is not None:  # a machine may show no disk at all
        counters |= {"disk_read_bytes": disk.read_bytes, "disk_written_bytes": disk.write_bytes}
    return counters


@dataclass
class _Seen:
    """A process at the last reading."""

    group: str
    own_s: float
    settled: bool = False
    """Looked at twice: what starts a program may still have been its shell the first time."""


@dataclass
class Meter:
    """Adds up processes by group, from one reading to the next; keeps what ended ones used."""

    _seen: dict[int, _Seen] = field(default_factory=dict)
    _cpu_s: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    _base_s: float | None = None
    """CPU time that was used before the first reading."""

    def read(self, processes: Iterable[psutil.Process]) -> dict[str, Any]:
        """CPU time per group since the first reading (s), and memory per group now (bytes).

        A group's time is that of its processes as they were seen; `OTHER` is what else the node
        used, so that processes which came and went between two readings are in it.
        """
        at = time.time()
        first = self._base_s is None
        total_s = 0.0
        memory: dict[str, int] = defaultdict(int)
        threads: dict[str, int] = defaultdict(int)
        fds: dict[str, int] = defaultdict(int)
        alive = {}
        for process in processes:
            try:
                times, pages = process.cpu_times(), process.memory_info()
            except psutil.Error:
                continue  # it has just ended: its parent has its time
            own_s = times.user + times.system
            total_s += own_s + times.children_user + times.children_system
            seen = self._look(process, 0.0 if not first else own_s)
            if seen.group != OTHER:
                self._cpu_s[seen.group] += max(0.0, own_s - seen.own_s)
            seen.own_s = own_s
            alive[process.pid] = seen
            memory[seen.group] += max(0, pages.rss - pages.shared)
            with contextlib.suppress(OSError):  # it has just ended
                held = Path("/proc", str(process.pid))
                threads[seen.group] += (held / "task").stat().st_nlink - 2
                fds[seen.group] += (held / "fd").stat().st_size
        self._seen = alive
        self._base_s = total_s if self._base_s is None else self._base_s
        named_s = sum(value for group, value in self._cpu_s.items() if group != OTHER)
        # A child that nobody waits for takes its time with it: what was seen is kept.
        self._cpu_s[OTHER] = max(self._cpu_s[OTHER], total_s - self._base_s - named_s)
        return {
            "at": at,
            "cpu_s": {group: round(value, 2) for group, value in self._cpu_s.items()},
            "memory_bytes": dict(memory),
            "threads": dict(threads),
            "fds": {group: count for group, count in fds.items() if count},
        }

    def _look(self, process: psutil.Process, own_s_when_new: float) -> _Seen:
        seen = self._seen.get(process.pid)
        if seen is None:
            return _Seen(_group(process), own_s_when_new)
        if not seen.settled:
            seen.group, seen.settled = _group(process), True
        return seen


def _group(process: psutil.Process) -> str:
    try:
        return group_of(process.cmdline())
    except psutil.Error:
        return OTHER
