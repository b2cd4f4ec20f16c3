"""Run a registry's own client; its words go to a log, and into the error when it fails."""

import errno
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from streambed.errors import StreambedError

_LINES_SHOWN = 4
_WIDTH = 400
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# As Maven, pip, npm and apt mark them; Maven's bare marks and pointers to its manual say nothing.
_ERROR = re.compile(
    r"(\[ERROR\] (?!\[Help|To see|Re-run|For more)\S|ERROR: |npm (ERR!|error) |E: )"
)
_DISK_FULL = re.compile(r"No space left on device|Disk quota exceeded|ENOSPC|EDQUOT")

_running: set[subprocess.Popen[bytes]] = set()


def end_clients() -> None:
    """End the clients under way: the user has interrupted."""
    for client in list(_running):
        client.terminate()


def run_client(
    command: Sequence[str],
    *,
    log: Path,
    keep_open: Sequence[int] = (),
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    what: str,
) -> None:
    """Run `command` to its end.

    Args:
        log: file that gets its output (overwritten).
        keep_open: descriptors (locks) it inherits.
        environment: variables set besides the inherited ones.
        what: what it is for, as it stands in the error.

    Raises:
        StreambedError: it cannot be started or fails; says what it had to say.
        OSError: the disk is full (ENOSPC).
    """
    with log.open("wb") as output:
        try:
            client = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                cwd=cwd,
                pass_fds=keep_open,
            )
        except FileNotFoundError as error:
            raise StreambedError(
                f"{what}: the command {command[0]} is not installed",
                hint="see what is missing: ./streambed doctor",
            ) from error
    _running.add(client)
    status = client.wait()
    _running.discard(client)
    if status == 0:
        return
    text = log.read_text(encoding="utf-8", errors="replace")
    if _DISK_FULL.search(text):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(log.parent))
    raise StreambedError(
        f"{what} failed ({Path(command[0]).name} ended with status {status}):\n"
        + "\n".join(f"    {line}" for line in telling_lines(text)),
        hint=f"is the registry reachable? the whole output is in {log}",
    )


def telling_lines(output: str) -> list[str]:
    """The few lines of a client's output that say why it failed: its errors, else its last ones."""
    lines = [line.rstrip() for line in _COLOUR.sub("", output).splitlines() if line.strip()]
    errors = [line for line in lines if _ERROR.match(line)]
    chosen = errors[:_LINES_SHOWN] or lines[-_LINES_SHOWN:]
    return [line if len(line) <= _WIDTH else line[: _WIDTH - 1] + "…" for line in chosen]
