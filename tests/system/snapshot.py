"""Runs on a machine, as root: all of it that a teardown must leave as it was, as one JSON object.

Left out is what time and logins alone change: logs, caches, the package manager's own books (the
packages themselves are listed), the files that keep the last version of the user database.
"""

from __future__ import annotations

import array
import fcntl
import hashlib
import json
import os
import re
import socket
import stat
import struct
import subprocess
from pathlib import Path

ROOTS = ("/etc", "/usr/local", "/opt", "/home", "/root", "/srv", "/var/lib", "/var/spool")
PASSING = (
    *("/etc/ld.so.cache", "/etc/.pwd.lock", "/var/lib/apt", "/var/lib/dpkg", "/var/lib/sudo"),
    *(f"/etc/{name}-" for name in ("passwd", "shadow", "group", "gshadow", "subuid", "subgid")),
    "/var/lib/systemd",
)
# Of linux/sockios.h and linux/ethtool.h.
SIOCETHTOOL = 0x8946
OFFLOADS = {"tso": 0x1E, "gso": 0x23, "gro": 0x2B}
SYSCTLS = ("net.core.rmem_max", "net.core.wmem_max", "net.core.somaxconn", "vm.max_map_count")


def output(*command: str) -> list[str]:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return [f"no {command[0]}"]
    return sorted(line.rstrip() for line in done.stdout.splitlines())


def offloads(interface: str) -> str:
    """Which of its offloads are on: asked of the kernel, where ethtool is no package."""
    asked = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        for name, command in OFFLOADS.items():
            # struct ethtool_value: command, data; struct ifreq: name, pointer to it.
            value = array.array("I", [command, 0])
            request = struct.pack("16sP", interface.encode(), value.buffer_info()[0])
            try:
                fcntl.ioctl(door, SIOCETHTOOL, request.ljust(40, b"\0"))
            except OSError as error:
                asked.append(f"{name} {error.strerror}")
            else:
                asked.append(f"{name} {'on' if value[1] else 'off'}")
    return ", ".join(asked)


def describe(path: Path) -> str:
    status = path.lstat()
    rights = f"{stat.S_IMODE(status.st_mode):04o} {status.st_uid} {status.st_gid}"
    if stat.S_ISLNK(status.st_mode):
        return f"link {path.readlink()}"
    if stat.S_ISREG(status.st_mode):
        return f"file {rights} {hashlib.sha256(path.read_bytes()).hexdigest()}"
    return f"other {rights}"


def files() -> dict[str, str]:
    found = {}
    for root in ROOTS:
        for folder, directories, names in os.walk(root):
            directories[:] = [
                name
                for name in directories
                if f"{folder}/{name}" not in PASSING and name != "__pycache__"
            ]
            for name in (*names, *directories):
                path = Path(folder, name)
                if str(path) not in PASSING:
                    found[str(path)] = describe(path)
    return found


def main() -> dict[str, object]:
    shared = [*Path("/tmp").iterdir(), *Path("/var/tmp").iterdir()]
    services = output(
        *("systemctl", "list-units", "--type=service", "--state=active,failed", "--plain"),
        "--no-legend",
    )
    unit_files = output("systemctl", "list-unit-files", "--plain", "--no-legend")
    interfaces = sorted(path.name for path in Path("/sys/class/net").iterdir())
    return {
        "files": files(),
        "shared": sorted(str(path) for path in shared if "systemd-private" not in path.name),
        "packages": output("dpkg-query", "-W", "-f", "${db:Status-Abbrev} ${Package}\\n"),
        "unit files": [line for line in unit_files if not re.match(r"session-\w+\.scope ", line)],
        "services": [line.split()[0] for line in services if not line.startswith("user")],
        "listening": output("ss", "-Hltun"),
        "firewall": output("nft", "--stateless", "list", "ruleset"),
        "disciplines": output("tc", "qdisc", "show"),
        "interfaces": [f"{name}: {offloads(name)}" for name in interfaces],
        "sysctls": output("sysctl", *SYSCTLS),
    }


if __name__ == "__main__":
    print(json.dumps(main()))
