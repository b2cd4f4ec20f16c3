"""Run a registry's own client; its words go to a log, and into the error when it fails."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from streambed.errors import StreambedError

_LOG_LINES_SHOWN = 12


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
        StreambedError: it cannot be started or fails; says the last lines of its output.
    """
    with log.open("wb") as output:
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                cwd=cwd,
                pass_fds=keep_open,
                check=False,
            )
        except FileNotFoundError as error:
            raise StreambedError(
                f"{what}: the command {command[0]} is not installed",
                hint="see what is missing: ./streambed doctor",
            ) from error
    if done.returncode != 0:
        raise StreambedError(
            f"{what} failed ({command[0]} ended with status {done.returncode}):\n{_tail(log)}",
            hint=f"is the registry reachable? the whole output is in {log}",
        )


def _tail(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return "\n".join(f"    {line}" for line in lines[-_LOG_LINES_SHOWN:])
