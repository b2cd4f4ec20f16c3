#!/usr/bin/python3 -IS
"""streambed-plaintext open|close|status: the way to this node's broker without encryption, as root.

Cells with `plaintext: on` open it and close it again. What was forgotten closes itself, since an
entry of the firewall's set lasts two hours; every load of the firewall closes it, too. The port
stands in /etc/streambed/plaintext.json; a node without that file has no broker.
Exit: 0 done (status: open), 1 the firewall refused, 2 bad arguments, 3 (status) closed.
"""

import json
import subprocess
import sys
from pathlib import Path

CONFIG = Path("/etc/streambed/plaintext.json")
SET = "inet streambed switched"
LASTS = "2h"
ACTIONS = ("open", "close", "status")


def refuse(reason: str) -> int:
    print(f"streambed-plaintext: {reason}", file=sys.stderr)
    return 2


def nft(*arguments: str, script: str = "") -> str:
    done = subprocess.run(
        ["/usr/sbin/nft", *arguments], input=script, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"streambed-plaintext: nft: {done.stderr.strip()}")
    return done.stdout


def is_open(port: int) -> bool:
    (found,) = (
        entry["set"]
        for entry in json.loads(nft("--json", "list", "set", *SET.split()))["nftables"]
        if "set" in entry
    )
    return any(each["elem"]["val"] == port for each in found.get("elem", []))


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0] not in ACTIONS:
        return refuse(f"usage: streambed-plaintext {'|'.join(ACTIONS)}")
    try:
        port = int(json.loads(CONFIG.read_text())["port"])
    except (OSError, ValueError, KeyError) as error:
        return refuse(f"this node has no such way: {CONFIG}: {error}")
    # Adding what is there, or what was added before, is no error; one step, whatever was there.
    script = f"add element {SET} {{ {port} }}\ndelete element {SET} {{ {port} }}\n"
    if arguments[0] == "open":
        script += f"add element {SET} {{ {port} timeout {LASTS} }}\n"
    if arguments[0] != "status":
        nft("--file", "-", script=script)
    state = is_open(port)
    print("open" if state else "closed")
    return 3 if arguments[0] == "status" and not state else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
