"""pack.py SOURCE DIRECTORY: pack what runs on the nodes into one archive; print its hash and path.

Runs on the controller. SOURCE is the package app/streambed, of which `__init__.py`, `py.typed` and
`pipelines/` run on nodes. The archive depends on their content only, and carries its hash in the
file HASH; the same content is not packed twice.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import tarfile
from pathlib import Path


def members(source: Path) -> dict[str, bytes]:
    """The files that run on nodes, by their name in the archive."""
    paths = [source / "__init__.py", source / "py.typed", *(source / "pipelines").rglob("*")]
    return {
        f"streambed/{path.relative_to(source)}": path.read_bytes()
        for path in sorted(paths)
        if path.is_file() and path.suffix != ".pyc"
    }


def content_hash(files: dict[str, bytes]) -> str:
    """Twelve hexadecimal digits that depend on the names and contents of the files."""
    digest = hashlib.sha256()
    for name, content in files.items():
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:12]


def pack(files: dict[str, bytes], archive: Path) -> None:
    """Write the archive; another process that packs the same does no harm."""
    unfinished = archive.with_suffix(f".{os.getpid()}")
    with tarfile.open(unfinished, "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o644
            tar.addfile(member, io.BytesIO(content))
    unfinished.replace(archive)


def main(source: Path, directory: Path) -> None:
    files = members(source)
    version = content_hash(files)
    archive = directory / f"streambed-app-{version}.tar"
    if not archive.exists():
        pack({**files, "HASH": f"{version}\n".encode()}, archive)
    print(json.dumps({"hash": version, "archive": str(archive)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
