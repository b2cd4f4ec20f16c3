"""Runs on a node without a JVM, as root: whom `streambed-heaps` asks, and whom it believes.

Prints a JSON object: what the helper said (status, output, errors), and what each process was told.
"""

import contextlib
import json
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HELPER = ("sudo", "-u", "streambed", "sudo", "-n", "/usr/local/sbin/streambed-heaps", "collect")

# As much of a JVM as the helper sees; it says what it is told.
JVM = r"""
import os, signal, socket, sys

def serve(*_):
    print("QUIT", flush=True)
    if sys.argv[1] == "ends":
        os._exit(0)
    path = f"/tmp/.java_pid{os.getpid()}"
    server = socket.socket(socket.AF_UNIX)
    server.bind(path + ".new")
    server.listen()
    os.rename(path + ".new", path)
    for _ in range(2):
        connection, _ = server.accept()
        asked = b""
        while asked.count(b"\0") < 5:
            asked += connection.recv(100)
        command = asked.split(b"\0")[2].decode()
        print(command, flush=True)
        heap = "def new generation  total 9K, used 2K\ntenured generation  total 9K, used 5K\n"
        connection.sendall(("0\n" + (heap if command == "GC.heap_info" else "")).encode())
        connection.close()

signal.signal(signal.SIGQUIT, serve)
print("ready", flush=True)
while True:
    signal.pause()
"""


@contextlib.contextmanager
def jvm(user: str, how: str = "serves") -> Iterator["subprocess.Popen[str]"]:
    """A process of a user that is called `java`, and catches the signal."""
    process = subprocess.Popen(
        ["java", "-c", JVM, how],
        executable="/usr/bin/python3",
        user=user,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.wait()
        Path(f"/tmp/.java_pid{process.pid}").unlink(missing_ok=True)


def told(process: "subprocess.Popen[str]") -> list[str]:
    """What a process was told; it ends with that."""
    process.send_signal(signal.SIGKILL)
    return process.communicate()[0].split()


def collect() -> list[Any]:
    done = subprocess.run(HELPER, capture_output=True, text=True, check=False)
    return [done.returncode, done.stdout, done.stderr]


def main() -> dict[str, Any]:
    found: dict[str, Any] = {}
    with jvm("streambed") as ours, jvm("nobody") as foreign:
        found["said"] = collect()
        found["told"] = {"ours": told(ours), "foreign": told(foreign)}
    with jvm("streambed") as ours, socket.socket(socket.AF_UNIX) as planted:
        planted.bind(f"/tmp/.java_pid{ours.pid}")
        shutil.chown(f"/tmp/.java_pid{ours.pid}", "nobody")
        planted.listen()
        found["planted"] = collect()
    with jvm("streambed", "ends"):
        found["ended"] = collect()
    found["left"] = sorted(path.name for path in Path("/tmp").glob(".*_pid*"))
    return found


if __name__ == "__main__":
    json.dump(main(), sys.stdout)
