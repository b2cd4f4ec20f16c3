"""Runs on a node, as the user that runs are made as: what it is, may write, and may do as root.

Argument: a JSON object, `units` that the node's helper should know. Prints one JSON object.
Standard library only.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

OWN = ("models", "datasets", "runs")
OTHERS = ("/opt/streambed/app", "/opt/streambed/venv", "/etc/streambed", "/usr/local/sbin")
OTHERS_SECRETS = (
    *("/etc/kafka/client.properties", "/etc/kafka/node.pem", "/etc/kafka/jaas.conf"),
    *("/etc/spark/secret.env", "/etc/spark/kafka.jaas"),
)
HELPER = ("sudo", "-n", "/usr/local/sbin/streambed-service")


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def writable(directory: str) -> bool:
    probe = Path(directory, ".probe")
    try:
        probe.touch()
        probe.unlink()
    except OSError:
        return False
    return True


def readable(path: str) -> bool:
    try:
        Path(path).read_bytes()
    except OSError:
        return False
    return True


def refused(*arguments: str) -> list[Any]:
    done = run(*HELPER, *arguments)
    return [done.returncode, "streambed-service:" in done.stderr]


def main(request: dict[str, Any]) -> dict[str, Any]:
    return {
        "identity": run("id", "-un").stdout.split() + run("id", "-Gn").stdout.split(),
        "home": str(Path.cwd()),
        "writes": [name for name in OWN if writable(f"/var/lib/streambed/{name}")],
        "writes_elsewhere": [path for path in OTHERS if writable(path)],
        "reads": [path for path in OTHERS_SECRETS if readable(path)],
        "root_command": run("sudo", "-n", "/usr/bin/true").returncode,
        "helper_without_arguments": run(*HELPER).returncode,
        "helper_refuses": [
            refused("stop", "ssh"),
            refused("restart", "kafka"),
            refused("kill", "ssh"),
            refused("stop", "../x"),
        ],
        "helper_status": {
            unit: run(*HELPER, "status", unit).stdout.strip() for unit in request["units"]
        },
        "open_files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        "core_bytes": resource.getrlimit(resource.RLIMIT_CORE)[0],
    }


if __name__ == "__main__":
    json.dump(main(json.loads(sys.argv[1])), sys.stdout)
