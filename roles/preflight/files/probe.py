"""Describe this node as one JSON object on stdout; change nothing.

Runs on the node through one remote command, before anything is installed there: standard library
only, Python 3.8 or later (an old Python must be told apart from a broken one).

The only argument is a JSON object: `address` (the bed's address of this node), `peers` (those of
the others), `controller_time` (unix seconds), `shaping` and `firewall` (whether to ask the kernel
for what the link's qdiscs and the firewall's rules need), `paths` (globs of files, links and
directories to describe), `users`, `units` and `sysctls` (names to describe).
"""

from __future__ import annotations

import grp
import hashlib
import json
import os
import platform
import pwd
import shutil
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

# What the link helper needs. Each command runs in a network namespace of its own that ends with it,
# so that asking changes nothing; asking is surer than reading a list of modules. The kernel loads
# those that it lacks, ifb without devices of its own, which it would make outside of the namespace.
_IFB = "{ modprobe -q ifb numifbs=0 || true; } && ip link add ifbprobe type ifb"
SHAPING = {
    "sch_htb": "tc qdisc add dev lo root handle 1: htb",
    "sch_ingress": "tc qdisc add dev lo handle ffff: ingress",
    "sch_tbf": "tc qdisc add dev lo root tbf rate 10mbit burst 15kb limit 100000",
    "ifb": _IFB,
    "cls_u32": "tc qdisc add dev lo root handle 1: htb && tc filter add dev lo parent 1:"
    " protocol ip prio 1 u32 match ip dst 192.0.2.1/32 classid 1:1",
    "act_mirred": _IFB + " && tc qdisc add dev lo handle ffff: ingress &&"
    " tc filter add dev lo parent ffff: protocol ip prio 1 u32 match ip src 192.0.2.1/32"
    " action mirred egress redirect dev ifbprobe",
}

# What the firewall's rules need, likewise.
_CHAIN = "add table inet p; add chain inet p c { type filter hook output priority 0; };"
_RULE = f"nft '{_CHAIN} add rule inet p c %s'"
FIREWALL = {
    "nf_tables": "nft add table inet p",
    "nf_conntrack (nft_ct)": _RULE % "ct state established accept",
    "nft_reject_inet": _RULE % "reject with icmpx type admin-prohibited",
    "nf_tables sets that forget": (
        "nft 'add table inet p; add set inet p s { type inet_service; flags timeout; }'"
    ),
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


def routes(peers: list[str]) -> dict[str, dict[str, str]]:
    """Peer → by which interface (`dev`) and as which address (`src`) we go there, if we can."""
    found = {}
    for peer in peers:
        for each in json.loads(output("ip", "-json", "route", "get", peer) or "[]"):
            found[peer] = {"dev": each.get("dev", ""), "src": each.get("prefsrc", "")}
    return found


def missing(features: dict[str, str]) -> list[str]:
    """Those that this kernel refuses."""
    return [
        module
        for module, command in features.items()
        if subprocess.run(
            ["unshare", "--net", "sh", "-ec", command],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        ).returncode
    ]


def ssh_session() -> dict[str, Any] | None:
    """Where this session comes from (`client`), and the `port` it came to; None without one.

    Asked of the processes above this one, since sudo gives a command another environment.
    """
    pid = os.getpid()
    while pid > 1:
        try:
            entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            parent = int(read(f"/proc/{pid}/stat").rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            return None
        for entry in entries:
            name, _, value = entry.decode(errors="replace").partition("=")
            if name == "SSH_CONNECTION":
                client, _, _, port = value.split()
                return {"client": client, "port": int(port)}
        pid = parent
    return None


def foreign_qdiscs(interface: str | None) -> list[str]:
    """Disciplines of the interface that somebody gave it; the kernel's own have the handle 0."""
    if interface is None or Path("/var/lib/streambed-link/state.json").exists():
        return []
    shown = json.loads(output("tc", "-json", "qdisc", "show", "dev", interface) or "[]")
    return [f"{each['kind']} {each['handle']}" for each in shown if each["handle"] != "0:"]


def listeners() -> list[dict[str, Any]]:
    """TCP sockets that listen: address, port, and whose they are."""
    found = []
    for name, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        for line in read(f"/proc/net/{name}").splitlines()[1:]:
            fields = line.split()
            if fields[3] != "0A":
                continue
            address, port = fields[1].split(":")
            # Words of four bytes, in the byte order of the machine.
            packed = b"".join(
                bytes.fromhex(address[at : at + 8])[::-1] for at in range(0, len(address), 8)
            )
            text = socket.inet_ntop(family, packed)
            # So Java listens at an IPv4 address.
            if text.startswith("::ffff:"):  # noqa: FURB188 - str.removeprefix is of 3.9
                text = text[len("::ffff:") :]
            found.append(
                {
                    "address": text,
                    "port": int(port, 16),
                    "user": owner(int(fields[7])),
                }
            )
    return found


def owner(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def before() -> dict[str, Any] | None:
    """What was noted of a lab machine before its first change; None on others."""
    text = read("/var/lib/streambed-before/record.json")
    record: dict[str, Any] | None = json.loads(text) if text else None
    return record


def firewall_tables() -> list[str]:
    """Family and name of each table of nftables."""
    if shutil.which("nft") is None:
        return []
    return [line.partition(" ")[2] for line in output("nft", "list", "tables").splitlines()]


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


def sysctls(names: list[str]) -> dict[str, int]:
    """Kernel settings in force, of those that this kernel shows here."""
    texts = {name: read("/proc/sys/" + name.replace(".", "/")) for name in names}
    return {name: int(text) for name, text in texts.items() if text}


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
    # Where nft is not installed yet, its role is refused by nft itself.
    asks_firewall = request["firewall"] and shutil.which("nft") is not None
    carrier = interface(request["address"])
    return {
        "os": operating_system(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "systemd": Path("/run/systemd/system").is_dir(),
        "cpus": cpus(),
        "memory_bytes": memory_bytes(),
        "disk_free_bytes": {path: free_bytes(path) for path in ("/opt", "/var/lib")},
        "interface": carrier,
        "routes": routes(request["peers"]),
        "foreign_qdiscs": foreign_qdiscs(carrier) if request["shaping"] else [],
        "listening": listeners(),
        "before": before(),
        "tables": firewall_tables(),
        "clock": {"asked": request["controller_time"], "node": time.time()},
        "ssh": ssh_session(),
        "shaping_missing": missing(SHAPING) if request["shaping"] else [],
        "firewall_missing": missing(FIREWALL) if asks_firewall else [],
        "packages": packages(),
        "users": {name: user(name) for name in request["users"]},
        "units": units(request["units"]),
        "sysctls": sysctls(request["sysctls"]),
        "paths": {
            str(path): describe(path)
            for each in request["paths"]
            for path in Path("/").glob(each.lstrip("/"))
        },
    }


if __name__ == "__main__":
    json.dump(main(json.loads(sys.argv[1])), sys.stdout)
