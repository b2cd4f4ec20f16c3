#!/usr/bin/python3 -IS
"""streambed-heaps collect: have this node's JVMs collect their garbage; say what is alive then.

A long cell asks, to tell what a JVM holds from what it has not thrown away yet. As root, since each
JVM runs as its service's user, with a /tmp of its own. This speaks what jcmd speaks, which Java's
runtime packages lack: a file and SIGQUIT make HotSpot listen on a socket in its /tmp. JVMs of other
users, and of containers on this machine, are let be.
Prints a JSON list: `command` (the JVM's arguments) and `live_bytes`; one that ends is left out.
Exit: 0 done, 1 a JVM did not answer, 2 bad arguments.
"""

import contextlib
import glob
import json
import os
import pwd
import re
import select
import signal
import socket
import stat
import sys
import time
from pathlib import Path

USERS = ("kafka", "spark", "streambed")
_PATIENCE_S = 20.0
_LOOK_EVERY_S = 0.02
_ENDING_S = 2.0
_MOST_BYTES = 1 << 20
_CATCHES_QUIT = 1 << (signal.SIGQUIT - 1)


class Silent(Exception):
    """A JVM that does not answer as it should."""


class Jvm:
    """A process that runs Java, held by a handle: its number may be another's when it has ended."""

    def __init__(self, pid: int, handle: int, uid: int, command: list[str]) -> None:
        self.pid, self.handle, self.uid, self.command = pid, handle, uid, command
        self.deadline = 0.0

    def left_s(self) -> float:
        """Until patience is at its end."""
        left_s = self.deadline - time.monotonic()
        if left_s <= 0:
            raise Silent(f"no answer within {_PATIENCE_S:g} s")
        return left_s

    def ended(self, within_s: float) -> bool:
        return bool(select.select([self.handle], [], [], within_s)[0])


def jvm(pid: int, uids: set[int]) -> Jvm | None:
    """The JVM with this number, if it is ours and catches the signal, which else would end it."""
    handle = os.pidfd_open(pid)
    command = Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    uid = int(status["Uid"].split()[1])
    if (
        uid in uids
        and command[0].rpartition("/")[2] == "java"
        and status["NSpid"].split() == [str(pid)]
        and int(status["SigCgt"], 16) & _CATCHES_QUIT
    ):
        return Jvm(pid, handle, uid, command)
    os.close(handle)
    return None


def jvms() -> list[Jvm]:
    uids = set()
    for name in USERS:
        with contextlib.suppress(KeyError):  # a node without that service
            uids.add(pwd.getpwnam(name).pw_uid)
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, KeyError):  # it has just ended
                found.append(jvm(int(entry.name), uids))
    return [each for each in found if each is not None]


def temporary_directory(pid: int) -> Path:
    """The JVM's /tmp as root sees it: that of its unit, where the unit has one of its own."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", "")
    group = Path(f"/proc/{pid}/cgroup").read_text()
    for unit in re.findall(r"/([^/\n]+\.service)$", group, re.MULTILINE):
        for own in Path("/tmp").glob(f"systemd-private-{boot}-{glob.escape(unit)}-??????"):
            seen = own.lstat()
            # Anybody may make a directory of that name; systemd's is closed to all but root.
            if stat.S_ISDIR(seen.st_mode) and seen.st_uid == 0 and not seen.st_mode & 0o077:
                return own / "tmp"
    return Path("/tmp")


def listening(asked: Jvm) -> Path:
    """The socket on which a JVM listens, from now on if it did not."""
    directory = temporary_directory(asked.pid)
    listens, wish = directory / f".java_pid{asked.pid}", directory / f".attach_pid{asked.pid}"
    if not listens.is_socket():
        wish.unlink(missing_ok=True)  # what a killed one of us left
        # Exclusively made, it is nobody's link to something else.
        os.close(os.open(wish, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        try:
            signal.pidfd_send_signal(asked.handle, signal.SIGQUIT)
            while not listens.is_socket():
                if asked.ended(min(_LOOK_EVERY_S, asked.left_s())):
                    raise Silent("it has ended")
        finally:
            wish.unlink(missing_ok=True)
    seen = listens.lstat()
    if not stat.S_ISSOCK(seen.st_mode) or seen.st_uid != asked.uid:
        raise Silent(f"{listens} is not the socket of the JVM's user")
    return listens


def ask(asked: Jvm, path: Path, question: str) -> str:
    """What a JVM says to a command of jcmd; what it prints begins with its status."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(asked.left_s())
        connection.connect(str(path))
        # Version, request, three arguments.
        connection.sendall(b"1\0jcmd\0" + question.encode() + b"\0\0\0")
        answer = b""
        while (more := connection.recv(65536)) and len(answer) < _MOST_BYTES:
            answer += more
            connection.settimeout(asked.left_s())
    status, _, said = answer.decode(errors="replace").partition("\n")
    if status != "0":
        raise Silent(f"{question}: status {status[:20]!r}: {said.strip()[:200]!r}")
    return said.strip()


def live_bytes(asked: Jvm) -> int:
    """What a full collection leaves, bytes: what all generations hold then."""
    asked.deadline = time.monotonic() + _PATIENCE_S
    path = listening(asked)
    if said := ask(asked, path, "GC.run"):  # such as that it is not allowed to
        raise Silent(f"GC.run: {said[:200]!r}")
    said = ask(asked, path, "GC.heap_info")
    used = re.findall(r"generation\s+total \d+K, used (\d+)K", said)
    if not used:
        raise Silent(f"no generations in {said[:200]!r}")
    return sum(map(int, used)) * 1024


def main(arguments: list[str]) -> int:
    if arguments != ["collect"]:
        print("streambed-heaps: usage: streambed-heaps collect", file=sys.stderr)
        return 2
    found = []
    for each in jvms():
        try:
            found.append({"command": each.command, "live_bytes": live_bytes(each)})
        except (Silent, OSError) as error:
            if not each.ended(_ENDING_S):
                print(f"streambed-heaps: process {each.pid}: {error}", file=sys.stderr)
                return 1
    json.dump(found, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
