"""How a node program talks to the runner.

First line on stdin: the spec. Later lines: commands. End of stdin: the controller is gone, so the
program ends, with everything it started, and leaks nothing. Events go out as JSON lines on stdout,
words for humans on stderr. All times are unix seconds.
"""

import collections
import contextlib
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TextIO

from streambed.pipelines.errors import EXIT_BUG, EXIT_ENDED, EXIT_OK, ProgramError, SpecError
from streambed.pipelines.spec import parse_line

_emit_lock = threading.Lock()
_events: TextIO = sys.stdout

Program = Callable[[dict[str, Any], "Commands"], None]


def emit(event: str, **fields: Any) -> None:
    """Write one event line; NaN and infinity are refused, since they are no JSON."""
    line = json.dumps({"event": event, **fields}, separators=(",", ":"), allow_nan=False)
    with _emit_lock:
        _events.write(line + "\n")
        _events.flush()


def say(message: str) -> None:
    """One line for a human, on stderr."""
    sys.stderr.write(message + "\n")
    sys.stderr.flush()


class Commands:
    """Commands that came on stdin after the spec; a thread waits for them and for the end.

    A program asks for those it knows by name, or takes them all, in order, with their fields.
    """

    def __init__(self) -> None:
        self._arrived = threading.Condition()
        self._received: set[str] = set()
        self._untaken: collections.deque[dict[str, Any]] = collections.deque()

    def received(self, command: str) -> bool:
        """Whether `command` has come."""
        return command in self._received

    def wait(self, command: str, timeout_s: float) -> bool:
        """Wait at most `timeout_s` seconds for `command`; returns whether it has come."""
        with self._arrived:
            return self._arrived.wait_for(lambda: command in self._received, timeout_s)

    def take(self) -> dict[str, Any]:
        """Wait for the next command that was not taken yet: its whole message."""
        with self._arrived:
            self._arrived.wait_for(lambda: self._untaken)
            return self._untaken.popleft()

    def follow_stdin(self) -> None:
        """Start reading commands; at the end of stdin the whole program is ended."""
        threading.Thread(target=self._read, name="stdin", daemon=True).start()

    def _read(self) -> None:
        for line in sys.stdin:
            try:
                message = parse_line(line)
            except SpecError as error:
                say(f"ignored a line on stdin: {error}")
                continue
            with self._arrived:
                self._received.add(str(message.get("command")))
                self._untaken.append({"command": "", **message})
                self._arrived.notify_all()
        end("the controller closed the connection")


def end(why: str) -> NoReturn:
    """End this process and every process of its group, now, with the status for 'ended'."""
    with contextlib.suppress(OSError):
        say(f"ending: {why}")
    kill_group()
    os._exit(EXIT_ENDED)


def kill_group() -> None:
    """SIGKILL every other process of this process's group (children, and theirs)."""
    group = os.getpgrp()
    # Twice, because a child can fork between the listing and the kill.
    for _ in range(2):
        for pid in _members(group):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _members(group: int) -> list[int]:
    members = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        # The process may end between the listing and the look.
        with contextlib.suppress(OSError):
            # The command's name may hold blanks: fields count from the last parenthesis.
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[2]) == group:
                members.append(int(entry.name))
    return members


def lead_own_group() -> None:
    """Put this process at the head of a group of its own, so that ending it ends only ours."""
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)


def keep_stdout_for_events() -> None:
    """Let whatever else is printed, by a library or a JVM started here, go to stderr."""
    global _events  # noqa: PLW0603
    sys.stdout.flush()
    _events = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)


def run_program(load: Callable[[], Program]) -> int:
    """Read the spec, run the program that `load` imports, and return its exit status."""
    lead_own_group()
    keep_stdout_for_events()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda got, _frame: end(f"signal {got}"))
    try:
        raw = parse_line(sys.stdin.readline() or "null")
        commands = Commands()
        commands.follow_stdin()
        load()(raw, commands)
    except ProgramError as error:
        emit("failed", reason=str(error), at=time.time())
        say(f"error: {error}")
        return error.exit_code
    except Exception as error:  # noqa: BLE001
        # Not foreseen: a bug of ours, so the stack trace is wanted.
        emit("failed", reason=repr(error), at=time.time())
        traceback.print_exc()
        return EXIT_BUG
    finally:
        kill_group()
    return EXIT_OK
