#!/usr/bin/python3 -IS
"""spark-ready DAEMON... [--timeout SECONDS]: end when these daemons here prove themselves.

The master answers that it is alive, a worker is listed alive by the master, the history server
lists its applications. `master-port` is no daemon: it ends when the master, wherever it runs, takes
connections; a worker that asks before waits 5 to 15 s until it asks again.
Exit: 0 all proved, 1 not in time.
"""

import argparse
import json
import socket
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

ENVIRONMENT = Path("/etc/spark/spark-env.sh")
DAEMONS = ("master", "worker", "history", "master-port")


def ask(url: str) -> Any:
    # Straight, whatever proxy the environment names: it is the bed's own network.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=5) as answer:
        return json.load(answer)


def connect(host: str, port: str) -> None:
    socket.create_connection((host, int(port)), timeout=5).close()


def missing(daemon: str, env: dict[str, str]) -> str | None:
    """What the daemon still lacks, or nothing."""
    if daemon == "master-port":
        connect(env["SPARK_MASTER_HOST"], env["SPARK_MASTER_PORT"])
        return None
    if daemon == "worker":
        # Many workers that start must not keep the master busy with questions.
        connect(env["SPARK_LOCAL_IP"], env["SPARK_WORKER_PORT"])
    if daemon == "history":
        history = f"http://{env['SPARK_LOCAL_IP']}:{env['SPARK_HISTORY_PORT']}"
        ask(f"{history}/api/v1/applications?limit=1")
        return None
    master = ask(f"http://{env['SPARK_MASTER_HOST']}:{env['SPARK_MASTER_WEBUI_PORT']}/json/")
    if master["status"] != "ALIVE":
        return f"the master says {master['status']}"
    if daemon == "master":
        return None
    here = (env["SPARK_LOCAL_IP"], int(env["SPARK_WORKER_PORT"]))
    states = [each["state"] for each in master["workers"] if (each["host"], each["port"]) == here]
    if "ALIVE" in states:
        return None
    return f"the master knows this worker as {', '.join(states) or 'nothing'}"


def lack(daemon: str, env: dict[str, str]) -> str | None:
    """The same; a daemon that does not answer lacks that."""
    try:
        return missing(daemon, env)
    except (OSError, ValueError) as error:
        return str(error)


def main() -> int:
    parser = argparse.ArgumentParser(description="Wait until daemons of this node are ready.")
    parser.add_argument("daemons", nargs="+", choices=DAEMONS)
    parser.add_argument("--timeout", type=float, default=60, help="in seconds")
    options = parser.parse_args()
    lines = ENVIRONMENT.read_text().splitlines()
    env = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    deadline = time.monotonic() + options.timeout
    for daemon in options.daemons:
        while (reason := lack(daemon, env)) is not None:
            if time.monotonic() >= deadline:
                said = f"spark-{daemon} was not ready within {options.timeout:g} s: {reason}"
                print(said, file=sys.stderr)
                return 1
            time.sleep(0.2)
        print(f"spark-{daemon} is ready")
    return 0


if __name__ == "__main__":
    sys.exit(main())
