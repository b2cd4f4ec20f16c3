"""Writing a file so that a reader, or a kill -9, meets the old content or the new, never half."""

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from streambed.errors import StreambedError


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that replaces it, durably, when the block ends well.

    Raises:
        StreambedError: the disk is full or cannot be written; what was there is untouched.
    """
    temporary = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        temporary.chmod(0o644)
        yield temporary
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise StreambedError(
            f"{path}: cannot be written: {error.strerror or error}",
            hint="free some space and go on with --resume" if full else "",
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replace a text file atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
