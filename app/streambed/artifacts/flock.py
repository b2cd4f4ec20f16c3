"""Locks between processes, that end with the process whatever ends it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streambed import console


@contextmanager
def locked(path: Path, *, what: str) -> Iterator[int]:
    """Hold an exclusive lock on `path`, waiting for whoever holds it.

    Yields:
        The descriptor that carries the lock. A child that inherits it keeps the lock when its
        parent is killed, so that nobody works on files it may still write.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            console.say(f"waiting for another process that is at {what}")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)
