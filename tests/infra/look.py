"""Runs on a node, as root: everything that several checks of the node look at, in one go.

An SSH command costs a small node more than what it asks; so this asks all of it at once. Argument:
a JSON object, `services` (unit, user, writable), `one_shots` (unit → where it may write, or null),
`standby` (units that are there and do not run), `tried` (address and port pairs), `broker` and
`master` (what to ask of them, or null). Prints one JSON object. Standard library only.
"""

from __future__ import annotations

import grp
import json
import pwd
import re
import socket
import stat
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

SANDBOXED = ("/etc", "/usr/local", "/opt/streambed", "/var/lib/streambed")
SECRETS = (
    *("/etc/kafka/node.pem", "/etc/kafka/jaas.conf", "/etc/kafka/client.properties"),
    *("/etc/kafka/first-users", "/etc/spark/secret.env", "/etc/spark/kafka.jaas"),
    *("/etc/streambed/spark.conf", "/etc/streambed/kafka/*"),
)
EVENTS = Path("/var/lib/spark/events")
SSHD_CLIENT = "user=streambed,host=controller,addr=192.0.2.1"
VENV = "/opt/streambed/venv/bin/python"
PACKAGES = (
    "import json, importlib.metadata as m; "
    "print(json.dumps({d.metadata['Name']: d.version for d in m.distributions()}))"
)
PATHS = "import sys; print([p for p in sys.path if p.endswith(('.jar', '.zip'))])"


def run(*command: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, **more)


def output(*command: str) -> str:
    return run(*command).stdout.strip()


def text(path: str) -> str | None:
    try:
        return Path(path).read_text()
    except OSError:
        return None


def listening() -> list[list[Any]]:
    found = []
    for line in output("ss", "-Hltn").splitlines():
        address, _, port = line.split()[3].rpartition(":")
        found.append([address, int(port)])
    return found


def answers(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=2).close()
    except OSError:
        return False
    return True


def reached(tried: list[list[Any]]) -> list[list[Any]]:
    """Those that answer; all are asked at once, since what is dropped takes its time."""
    with ThreadPoolExecutor(len(tried)) as pool:
        open_ = pool.map(lambda pair: answers(*pair), tried)
        return [pair for pair, answered in zip(tried, open_, strict=True) if answered]


def exposures(units: list[str]) -> dict[str, float | None]:
    """Unit → how systemd rates its sandbox: 0 nothing is exposed, 10 everything."""
    if not units:
        return {}
    said = output("systemd-analyze", "security", "--no-pager", *units)
    rated = dict(re.findall(r"exposure level for (\S+): ([0-9.]+)", said))
    return {unit: float(rated[unit]) if unit in rated else None for unit in units}


def one_shot(unit: str, writable: str | None) -> list[str]:
    """What another command fails to write in the sandbox of a unit that has ended, in its words."""
    section = (text(f"/etc/systemd/system/{unit}") or "").partition("[Service]")[2]
    lines = [line for line in section.partition("\n[")[0].splitlines() if "=" in line]
    own = ("Type=", "RemainAfterExit=", "Exec", "#")
    properties = [word for line in lines if not line.startswith(own) for word in ("-p", line)]
    inside = ("systemd-run", "--quiet", "--wait", "--collect", "--pipe", *properties)
    wanted = ["/etc", "/usr/local", *([] if writable is None else [writable])]
    script = 'for to in "$@"; do touch "$to/.probe" && rm "$to/.probe"; done; true'
    return run(*inside, "sh", "-c", script, "sh", *wanted).stderr.splitlines()


def secrets() -> dict[str, str]:
    """Path → owner and rights of every file that holds a key or a password."""
    found = {}
    for pattern in SECRETS:
        for path in Path("/").glob(pattern.lstrip("/")):
            status = path.stat()
            owner, group = pwd.getpwuid(status.st_uid).pw_name, grp.getgrgid(status.st_gid).gr_name
            found[str(path)] = f"{owner} {group} {stat.S_IMODE(status.st_mode):04o}"
    return found


def units(names: list[str]) -> dict[str, dict[str, str]]:
    """Unit → what systemd says of it."""
    if not names:
        return {}
    shown = output("systemctl", "show", "-p", "Id,ActiveState,UnitFileState,MainPID", *names)
    blocks = [dict(line.split("=", 1) for line in b.splitlines()) for b in shown.split("\n\n")]
    return {block["Id"]: block for block in blocks}


def user(name: str) -> dict[str, Any] | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    groups = {g.gr_name for g in grp.getgrall() if name in g.gr_mem}
    groups.add(grp.getgrgid(entry.pw_gid).gr_name)
    shadow = [line.split(":") for line in (text("/etc/shadow") or "").splitlines()]
    password = next((fields[1] for fields in shadow if fields[0] == name), None)
    return {
        "uid": entry.pw_uid,
        "shell": entry.pw_shell,
        "groups": sorted(groups),
        "password": password,
    }


def service(unit: str, name: str, writable: str, pid: str) -> dict[str, Any]:
    """A running service: its process, and what its sandbox lets through."""
    lines = (text(f"/proc/{pid}/status") or "").splitlines()
    status = {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}
    archive = f"/opt/streambed/classes/{unit.removesuffix('.service')}.jsa"
    limits = (text(f"/proc/{pid}/limits") or "").splitlines()
    return {
        "status": {
            key: status.get(key) for key in ("Uid", "CapEff", "CapBnd", "NoNewPrivs", "Seccomp")
        },
        "archive_mapped": archive in (text(f"/proc/{pid}/maps") or ""),
        "archive_there": Path(archive).exists(),
        "open_files": next((line.split()[3:5] for line in limits if "open files" in line), None),
        # A container's root may not look into another user's process.
        "opened": output("runuser", "-u", name, "--", "ls", "-l", f"/proc/{pid}/fd"),
        "sandbox": sandbox(name, writable, pid),
    }


def sandbox(name: str, writable: str, pid: str) -> dict[str, Any]:
    """A writer to whom file rights mean nothing, in the service's mount namespace.

    It is the service's user with the capability to override file rights: only the sandbox can be
    what stops it. Outside of it, root can write there.
    """
    capabilities = "+sys_admin,+sys_chroot,+dac_override"
    inside = (
        *("setpriv", f"--reuid={name}", f"--regid={name}", "--clear-groups"),
        *(f"--inh-caps={capabilities}", f"--ambient-caps={capabilities}"),
        *("nsenter", "--mount", "--target", pid),
    )
    tries = {}
    for path in SANDBOXED:
        probe = Path(path, ".probe")
        probe.touch()
        probe.unlink()
        tried = run(*inside, "touch", str(probe))
        tries[path] = [tried.returncode, tried.stderr.strip()]
    allowed = run(*inside, "sh", "-c", 'touch "$1" && rm "$1"', "sh", f"{writable}/.probe")
    seen = Path("/tmp/.probe-outside")
    seen.touch()
    private = run(*inside, "ls", "-A", "/tmp", "/root").stdout.split()
    seen.unlink()
    return {"tries": tries, "allowed": allowed.returncode, "private": private}


def master_state(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def limit(path: str) -> str:
    return (text(f"/sys/fs/cgroup/{path}") or "").strip()


def main(request: dict[str, Any]) -> dict[str, Any]:
    wanted = request["services"]
    states = units([each["unit"] for each in wanted] + ["kafka.service"])
    jars = {"PYTHONPATH": "/opt/spark/jars/spark-core_2.13-4.0.0.jar:/x.zip"}
    app = "import sys; sys.path.insert(0, '/opt/streambed/app'); import streambed.pipelines"
    return {
        "listening": listening(),
        "datagram": output("ss", "-Hlun"),
        "congestion_control": text("/proc/sys/net/ipv4/tcp_congestion_control"),
        "reached": reached(request["tried"]),
        "firewall": output("nft", "list", "table", "inet", "streambed"),
        "plaintext": run("/usr/local/sbin/streambed-plaintext", "status").stdout.strip(),
        "exposures": exposures(
            [*(each["unit"] for each in wanted), *request["one_shots"], *request["standby"]]
        ),
        "one_shots": {unit: one_shot(unit, to) for unit, to in request["one_shots"].items()},
        "secrets": secrets(),
        "events": [f"{path} {stat.S_IMODE(path.stat().st_mode):04o}" for path in EVENTS.glob("*")],
        "events_directory": stat.S_IMODE(EVENTS.stat().st_mode) if EVENTS.is_dir() else None,
        "failed_units": output("systemctl", "list-units", "--failed", "--plain", "--no-legend"),
        "units": states,
        "services": {
            each["unit"]: service(**each, pid=states[each["unit"]]["MainPID"]) for each in wanted
        },
        "users": {name: user(name) for name in ("kafka", "spark", "streambed")},
        # Without performance data, whose directory in /tmp would outlive a teardown.
        "java": run("java", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-version").stderr,
        "packages": json.loads(output(VENV, "-I", "-c", PACKAGES) or "null"),
        "archives_on_path": output(
            "env", *(f"{k}={v}" for k, v in jars.items()), VENV, "-c", PATHS
        ),
        "application": [
            text("/opt/streambed/app/HASH"),
            str(Path("/opt/streambed/app").readlink()),
        ],
        "application_imports": run(VENV, "-I", "-c", app).returncode,
        "kafka_installed": [
            Path("/etc/kafka/server.properties").exists(),
            Path("/opt/kafka/libs").is_dir(),
        ],
        "link": text("/etc/streambed/link.json"),
        "sudo": output("sudo", "-l", "-U", "streambed"),
        "sshd": output("/usr/sbin/sshd", "-T", "-C", SSHD_CLIENT).splitlines(),
        "broker": run("/usr/local/lib/streambed/kafka-ready", "--cluster", "--timeout", "10").stdout
        if request["broker"]
        else None,
        "broker_differs": run("/usr/local/lib/streambed/kafka-started", "differs").stdout
        if request["broker"]
        else None,
        "master": master_state(request["master"]) if request["master"] else None,
        "limits": {
            "cpu": limit("cpu.max")
            or f"{limit('cpu/cpu.cfs_quota_us')} {limit('cpu/cpu.cfs_period_us')}",
            "memory": limit("memory.max") or limit("memory/memory.limit_in_bytes"),
        },
    }


if __name__ == "__main__":
    json.dump(main(json.loads(sys.argv[1])), sys.stdout)
