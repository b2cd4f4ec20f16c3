"""Runs on a broker's node, as root: a session without encryption, whose way is opened and closed.

Argument: the broker's address. Prints whether the session was answered before, and after.
"""

import socket
import subprocess
import sys
from typing import BinaryIO

HELPER = "/usr/local/sbin/streambed-plaintext"
# ApiVersions, version 0, of a client without a name.
HELLO = bytes.fromhex("0000000a 0012 0000 00000000 ffff")


def answers(session: socket.socket, stream: BinaryIO) -> bool:
    try:
        session.sendall(HELLO)
        size = int.from_bytes(stream.read(4), "big")
        return len(stream.read(size)) == size > 0
    except OSError:
        return False


def main(broker: str) -> tuple[bool, bool]:
    subprocess.run([HELPER, "open"], check=True, capture_output=True)
    try:
        session = socket.create_connection((broker, 9095), 5)
        stream = session.makefile("rb")
        before = answers(session, stream)
    finally:
        subprocess.run([HELPER, "close"], check=True, capture_output=True)
    return before, answers(session, stream)


if __name__ == "__main__":
    print(*main(sys.argv[1]))
