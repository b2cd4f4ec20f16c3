"""One command at a time on a thing, told apart from a lock left by the dead.

The kernel drops an flock with its holder, so a killed command never leaves one behind.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from streambed.errors import StreambedError


@contextmanager
def exclusive(path: Path, *, what: str, command: str) -> Iterator[None]:
    """Hold `path` while the block runs.

    Raises:
        StreambedError: another process holds it; the message says which.
    """
    with path.open("a+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _in_use(path, what) from None
        _sign(path, command)
        yield


def refuse_if_held(path: Path, *, what: str) -> None:
    """Find out before anything is made whether `exclusive` would refuse.

    Raises:
        StreambedError: another process holds it; the message says which.
    """
    if path.exists():
        with path.open("r") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                raise _in_use(path, what) from None


def _in_use(path: Path, what: str) -> StreambedError:
    return StreambedError(f"{what} is in use by {_holder(path)}", hint="wait for it, or end it")


@contextmanager
def shared_work(path: Path, *, waiting: Callable[[str], None]) -> Iterator[None]:
    """Hold `path` while the block runs, after whoever holds it now; `waiting` is told who."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting(_holder(path))
            fcntl.flock(stream, fcntl.LOCK_EX)
        _sign(path, "image build")
        yield


def _sign(path: Path, command: str) -> None:
    since = datetime.now(UTC).strftime("%H:%M:%S UTC")
    path.write_text(f"`{command}` (process {os.getpid()}, since {since})")


def _holder(path: Path) -> str:
    return path.read_text().strip() or "another process"
