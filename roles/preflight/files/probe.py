"""Describe this node as one JSON object on stdout; change nothing.

Runs on the node through one remote command, before anything is installed there: standard library
only, Python 3.8 or later (an old Python must be told apart from a broken one).

The only argument is a JSON object: `address` (the bed's address of this node), `controller_time`
(unix seconds), `shaping` (whether to ask the kernel for the link's qdiscs), `paths` (globs of
files, links and directories to describe), `users` and `units` (names to describe).
"""

from __future__ import annotations

import grp
import hashlib
import json
import os
import platform
import pwd
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

# What the link helper needs. Each command runs in a network namespace of its own that ends with it,
# so that asking changes nothing; asking is surer than reading a list of modules.
SHAPING = {
    "sch_htb": "tc qdisc add dev lo root handle 1: htb",
    "sch_ingress": "tc qdisc add dev lo handle ffff: ingress",
    "sch_fifo": "tc qdisc add dev lo root bfifo limit 100000",
    "ifb": "ip link add ifbprobe type ifb",
    "cls_u32": "tc qdisc add dev lo root handle 1: htb && tc filter add dev lo parent 1:"
    " protocol ip prio 1 u32 match ip dst 192.0.2.1/32 classid 1:1",
    "act_mirred": "ip link add ifbprobe type ifb && tc qdisc add dev lo handle ffff: ingress &&"
    " tc filter add dev lo parent ffff: protocol ip prio 1 u32 match ip src 192.0.2.1/32"
    " action mirred egress redirect dev ifbprobe",
}


def read(path: str) -> str:
    """The file's text, or nothing when it cannot be read."""
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def output(*command: str) -> str:
    """What a command prints, or nothing when it cannot be run or fails."""
    try:
        return subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
        ).stdout.decode()
    except (OSError, subprocess.CalledProcessError):
        return ""


def operating_system() -> dict[str, str]:
    lines = [line.partition("=") for line in read("/etc/os-release").splitlines()]
    fields = {key: value.strip('"') for key, _, value in lines}
    return {"id": fields.get("ID", "unknown"), "version": fields.get("VERSION_ID", "unknown")}


def memory_bytes() -> int:
    """The machine's memory, or what the control group allows when that is less."""
    total = int(read("/proc/meminfo").split()[1]) * 1024
    limits = [
        read("/sys/fs/cgroup/memory.max"),
        read("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
    ]
    return min([total, *(int(limit) for limit in limits if limit.strip().isdigit())])


def cpus() -> float:
    """The machine's processors, or what the control group allows when that is less."""
    quotas = [
        read("/sys/fs/cgroup/cpu.max").split(),
        [read(f"/sys/fs/cgroup/cpu/cpu.cfs_{each}_us").strip() for each in ("quota", "period")],
    ]
    limits = [int(quota[0]) / int(quota[1]) for quota in quotas if quota and quota[0].isdigit()]
    return min([float(os.cpu_count() or 1), *limits])


def free_bytes(path: str) -> int:
    """Free space where `path` is, or will be."""
    there = Path(path)
    while not there.exists():
        there = there.parent
    return shutil.disk_usage(there).free


def interface(address: str) -> str | None:
    """The network interface that carries `address`."""
    for line in output("ip", "-o", "-4", "address", "show").splitlines():
        fields = line.split()
        if fields[3].split("/")[0] == address:
            return fields[1]
    return None


def missing_shaping() -> list[str]:
    """The kernel modules that the link needs and that this kernel refuses."""
    return [
        module
        for module, command in SHAPING.items()
        if subprocess.run(
            ["unshare", "--net", "sh", "-ec", command],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        ).returncode
    ]


def describe(path: Path) -> str:
    """Kind, mode, owner, group and content of a path in one comparable line."""
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        return f"link {os.readlink(path)}"  # noqa: PTH115 - Path.readlink is of 3.9
    try:
        owner, group = pwd.getpwuid(status.st_uid).pw_name, grp.getgrgid(status.st_gid).gr_name
    except KeyError:
        owner, group = str(status.st_uid), str(status.st_gid)
    rights = f"{stat.S_IMODE(status.st_mode):04o} {owner} {group}"
    if stat.S_ISDIR(status.st_mode):
        return f"directory {rights}"
    if not stat.S_ISREG(status.st_mode):
        return f"other {rights}"
    return f"file {rights} {hashlib.sha256(path.read_bytes()).hexdigest()}"


def packages() -> list[str]:
    """The Debian packages that are installed."""
    listing = output("dpkg-query", "-W", "-f", "${db:Status-Status} ${Package}\\n")
    return [line.split()[1] for line in listing.splitlines() if line.startswith("installed ")]


def user(name: str) -> dict[str, str] | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return {"home": entry.pw_dir, "shell": entry.pw_shell}


def units(names: list[str]) -> dict[str, str]:
    """Each unit's state as systemd names it: `active enabled`, `inactive disabled`."""
    states = {}
    listing = output("systemctl", "show", "-p", "Id,ActiveState,UnitFileState", *names)
    for block in listing.strip().split("\n\n"):
        fields = dict(line.split("=", 1) for line in block.splitlines())
        if fields:
            states[fields["Id"]] = fields["ActiveState"] + " " + fields["UnitFileState"]
    return states


def main(request: dict[str, Any]) -> dict[str, Any]:
    return {
        "os": operating_system(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "systemd": Path("/run/systemd/system").is_dir(),
        "cpus": cpus(),
        "memory_bytes": memory_bytes(),
        "disk_free_bytes": {path: free_bytes(path) for path in ("/opt", "/var/lib")},
        "interface": interface(request["address"]),
        "clock": {"asked": request["controller_time"], "node": time.time()},
        "shaping_missing": missing_shaping() if request["shaping"] else [],
        "packages": packages(),
        "users": {name: user(name) for name in request["users"]},
        "units": units(request["units"]),
        "paths": {
            str(path): describe(path)
            for each in request["paths"]
            for path in Path("/").glob(each.lstrip("/"))
        },
    }


if __name__ == "__main__":
    json.dump(main(json.loads(sys.argv[1])), sys.stdout)
