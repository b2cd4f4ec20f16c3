"""Replacing a file on a node so that a reader, or a kill, meets the old content or the new."""

import os
import tempfile
from pathlib import Path

from streambed.pipelines.errors import ServiceError


def replace(path: Path, data: bytes) -> None:
    """Write `data` beside `path`, down to the disk, then rename it to `path`.

    Raises:
        ServiceError: it cannot be written; what was there is untouched.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise ServiceError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
