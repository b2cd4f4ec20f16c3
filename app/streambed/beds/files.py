"""Files that are whole or not there, with their mode from the first byte on."""

import os
import secrets
from pathlib import Path


def write_atomically(path: Path, content: bytes | str, *, mode: int = 0o600) -> None:
    """Replace `path` in one step; a reader or a killed writer never sees half of it."""
    data = content.encode() if isinstance(content, str) else content
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        draft.chmod(mode)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def private_directory(path: Path) -> Path:
    """A directory that only its owner can enter, created on demand."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.chmod(0o700)
    return path
