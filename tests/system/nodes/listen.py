"""Runs on a node, as root: listens until its sign is gone, for a minute at most.

Arguments: the path of the sign, which is there once it listens; an address of the node; the ports.
"""

import socket
import sys
import time
from pathlib import Path


def main(sign: Path, address: str, ports: list[int]) -> None:
    held = []
    for port in ports:
        try:
            held.append(socket.create_server((address, port)))
        except OSError:
            continue  # a service has it
    sign.touch()
    end = time.monotonic() + 60
    while sign.exists() and time.monotonic() < end:
        time.sleep(0.2)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], [int(port) for port in sys.argv[3:]])
