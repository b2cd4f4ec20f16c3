"""ansible-playbook with a short account on the console and the whole one in a log."""

import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from rich.markup import escape

from streambed import console, paths
from streambed.beds import processes
from streambed.errors import StreambedError

_CALLBACKS = Path(__file__).with_name("callbacks")


@dataclass
class Account:
    """What a play did so far, from the callback's events."""

    changed: int = 0
    tasks: int = 0
    failures: list[dict[str, str]] = field(default_factory=list)
    ended: bool = False


class Teller:
    """Turns events into a console line per role, and a moving one for the task at work."""

    def __init__(self) -> None:
        self.account = Account()
        self._status = console.err.status("starting Ansible", spinner="dots")
        self._roles: set[str] = set()
        self._started = time.monotonic()

    def __enter__(self) -> Self:
        # A pipe or a log file gets the lines only.
        if console.err.is_terminal:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._status.stop()
        if self.account.ended:
            console.say(
                f"{self._elapsed()}  done: {self.account.tasks} tasks, "
                f"{self.account.changed} changes"
            )

    def tell(self, event: Mapping[str, Any]) -> None:
        """Take in one event."""
        kind = event["event"]
        if kind == "task":
            self._start_task(str(event["role"]), str(event["name"]))
        elif kind == "ok" and event["changed"]:
            self.account.changed += 1
        elif kind in ("failed", "unreachable"):
            self.account.failures.append({key: str(value) for key, value in event.items()})
        elif kind == "stats":
            self.account.ended = True

    def _start_task(self, role: str, name: str) -> None:
        self.account.tasks += 1
        self._status.update(escape(f"{role}: {name}" if role else name))
        # Nodes may go at their own pace, so that roles overlap: only their beginning is told.
        if role and role not in self._roles:
            self._roles.add(role)
            console.say(f"{self._elapsed()}  {escape(role)}")

    def _elapsed(self) -> str:
        return f"{time.monotonic() - self._started:5.1f} s"


def run(
    playbook: Path,
    inventory: Path,
    *,
    bed_id: str,
    log: Path,
    extra_environment: Mapping[str, str] | None = None,
) -> Account:
    """Run a playbook to its end.

    Raises:
        StreambedError: a task failed (host, task and message are in the error), a node could
            not be reached, or Ansible did not start; the log is named.
    """
    if not playbook.is_file():
        raise StreambedError(f"there is no playbook {playbook}")
    reader, writer = os.pipe()
    try:
        with log.open("wb") as stream, Teller() as teller:
            environ = {
                "ANSIBLE_CALLBACK_PLUGINS": str(_CALLBACKS),
                "ANSIBLE_CALLBACKS_ENABLED": "streambed_events",
                "STREAMBED_EVENTS_FD": str(writer),
                "ANSIBLE_NOCOLOR": "1",
                "ANSIBLE_HOST_PATTERN_MISMATCH": "ignore",
                **(extra_environment or {}),
            }
            argv = [sys.executable, "-m", "ansible", "playbook"]
            with processes.running(
                [*argv, "-i", str(inventory), str(playbook)],
                bed_id=bed_id,
                log=stream,
                extra_environment=environ,
                pass_fds=(writer,),
            ) as process:
                os.close(writer)
                writer = -1
                with os.fdopen(reader, "rb") as events:
                    reader = -1
                    for line in events:
                        teller.tell(json.loads(line))
    finally:
        for descriptor in (reader, writer):
            if descriptor >= 0:
                os.close(descriptor)
    if process.returncode != 0 or not teller.account.ended:
        raise _failure(playbook, teller.account, process.returncode, log)
    return teller.account


def _failure(playbook: Path, account: Account, status: int, log: Path) -> StreambedError:
    name = playbook.relative_to(paths.ROOT) if playbook.is_relative_to(paths.ROOT) else playbook
    if not account.failures:
        lines = log.read_text(errors="replace").splitlines()
        said = [line for line in lines if line.startswith(("ERROR", "[ERROR]", "Error"))]
        words = (said or lines[-1:] or ["it said nothing"])[0]
        return StreambedError(f"{name} ended with status {status}: {words}", hint=f"log: {log}")
    told = [
        f"{one['host']}: {one['task']}: "
        + ("cannot be reached: " if one["event"] == "unreachable" else "")
        + one["message"]
        for one in account.failures
    ]
    return StreambedError(f"{name} failed\n" + "\n".join(told), hint=f"log: {log}")
