#!/usr/bin/python3 -IS
"""streambed-service start|stop|kill|status UNIT: switch one of this node's services, as root.

The runner switches services between cells (the broker on a standby node, a Spark worker) without
being root. Units that may be switched are listed in /etc/streambed/services.json; anything else is
refused. A start returns when the service has proved itself ready, since the units prove it. A kill
is a fault that is injected: SIGKILL to all of the service's processes; systemd starts it again.
Exit: 0 done (status: active), 1 systemd could not do it, 2 refused, 3 (status) not active.
"""

import json
import subprocess
import sys
from pathlib import Path

ALLOWED = Path("/etc/streambed/services.json")
ACTIONS = ("start", "stop", "kill", "status")


def refuse(reason: str) -> int:
    print(f"streambed-service: {reason}", file=sys.stderr)
    return 2


def status(unit: str) -> int:
    state = subprocess.run(
        ["/usr/bin/systemctl", "show", "--value", "-p", "ActiveState", unit],
        stdout=subprocess.PIPE,
        check=True,
    ).stdout.decode()
    print(state.strip())
    return 0 if state.strip() == "active" else 3


def main(arguments: list[str]) -> int:
    if len(arguments) != 2 or arguments[0] not in ACTIONS:
        return refuse(f"usage: streambed-service {'|'.join(ACTIONS)} UNIT")
    action, name = arguments
    unit = name if name.endswith(".service") else name + ".service"
    try:
        allowed = json.loads(ALLOWED.read_text())["units"]
    except (OSError, ValueError, KeyError) as error:
        return refuse(f"{ALLOWED} cannot be read: {error}")
    if unit not in allowed:
        return refuse(f"{name} is not one of this node's services: {', '.join(allowed) or 'none'}")
    if action == "status":
        return status(unit)
    if action == "start":
        # A unit that failed too often before is given a new chance; nothing to do is no error.
        subprocess.run(
            ["/usr/bin/systemctl", "reset-failed", unit], stderr=subprocess.DEVNULL, check=False
        )
    signal = ["--signal=SIGKILL"] if action == "kill" else []
    command = ["/usr/bin/systemctl", action, *signal, unit]
    return 1 if subprocess.run(command, check=False).returncode else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
