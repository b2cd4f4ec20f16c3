"""SHA-256 of files and of sets of files."""

import hashlib
from collections.abc import Mapping
from pathlib import Path


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file's content, read in full."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of_members(members: Mapping[str, str]) -> str:
    """Twelve hex digits that stand for a set of (name, SHA-256) pairs, whatever their order."""
    lines = "".join(f"{sha256}  {name}\n" for name, sha256 in sorted(members.items()))
    return hashlib.sha256(lines.encode()).hexdigest()[:12]
