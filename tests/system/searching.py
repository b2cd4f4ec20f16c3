"""Looks for secrets, on this host and, sent there as text, on a node: `look` prints what it found.

Also as base64, and in what is compressed. Beside the standard library pyarrow and NumPy, which both
have.
"""

import base64
import contextlib
import json
import os
import subprocess
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

FOLDERS = (
    *("/etc", "/root", "/run", "/tmp", "/var/log", "/var/spool"),
    *("/var/lib/kafka", "/var/lib/spark", "/var/lib/streambed"),
)
MOST_BYTES = 20_000_000
# Mostly holes, and nothing but numbers.
INDEXES = (".index", ".timeindex")


def forms(secret: str) -> tuple[bytes, bytes]:
    """As it is, and as base64 as far as that does not depend on what follows."""
    plain = secret.encode()
    return plain, base64.b64encode(plain[: len(plain) // 3 * 3])


def content(path: Path) -> bytes:
    """What a file says, unpacked where it is compressed; nothing of one that is huge.

    As it is where it cannot be unpacked: a program that was killed may have left half of it.
    """
    if path.stat().st_size > MOST_BYTES:
        return b""
    if path.suffix in (".zst", ".zstd"):
        return _unpacked(path)
    with contextlib.suppress(EOFError, ValueError, zipfile.BadZipFile):
        if path.suffix == ".npz":
            return _arrays(path)
        if path.suffix == ".parquet":
            return _table(path)
    return path.read_bytes()


def _arrays(path: Path) -> bytes:
    import numpy as np

    with np.load(path) as arrays:
        return b"\n".join(arrays[name].tobytes() for name in arrays)


def _table(path: Path) -> bytes:
    from pyarrow import parquet

    # ArrowInvalid, of a file that is none, is a ValueError.
    return "\n".join(map(str, parquet.read_table(path).to_pylist())).encode()


def _unpacked(path: Path) -> bytes:
    """As far as it goes: Spark may still be writing it."""
    import pyarrow as pa

    parts = []
    try:
        with pa.input_stream(str(path), compression="zstd") as stream:
            while part := stream.read(1 << 20):
                parts.append(part)
    except OSError:
        pass
    return b"".join(parts)


def found_in(paths: Iterable[Path], secrets: Sequence[str]) -> list[str]:
    """Those of the files that hold one of the secrets; a file that goes meanwhile holds none."""
    wanted = [form for secret in secrets for form in forms(secret)]
    found = []
    for path in paths:
        try:
            text = content(path)
        except FileNotFoundError:
            continue
        if any(form in text for form in wanted):
            found.append(str(path))
    return found


def files(folder: str) -> Iterable[Path]:
    """Files of a node that may hold anything; the journal is asked for as a whole.

    Folders may vanish under the search: brokers remove a topic's a minute after it is deleted.
    """
    for directory, folders, names in os.walk(folder):
        if "journal" in folders:
            folders.remove("journal")
        for path in (Path(directory, name) for name in names):
            if not path.is_symlink() and path.is_file() and path.suffix not in INDEXES:
                yield path


def look(secrets: Sequence[str], allowed: Sequence[str]) -> None:
    """Print where this node has one of the secrets, but in the files where it may."""
    wanted = [form for secret in secrets for form in forms(secret)]
    journal = subprocess.run(["journalctl", "--no-pager"], capture_output=True, check=True).stdout
    found = ["journal"] if any(form in journal for form in wanted) else []
    for folder in FOLDERS:
        kept = (path for path in files(folder) if str(path) not in allowed)
        found += found_in(kept, secrets)
    print(json.dumps(sorted(found)))
