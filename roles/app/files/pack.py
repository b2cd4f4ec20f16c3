"""pack.py SOURCE: pack what runs on the nodes; print its hash and the archive (base64) as JSON.

Runs on the controller. SOURCE is the package app/streambed, of which `__init__.py`, `py.typed` and
`pipelines/` run on nodes. The archive depends on their content only, and carries its hash in the
file HASH.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
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


def pack(files: dict[str, bytes]) -> bytes:
    """A compressed tar archive of the files."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz", compresslevel=6) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o644
            tar.addfile(member, io.BytesIO(content))
    return archive.getvalue()


def main(source: Path) -> None:
    files = members(source)
    version = content_hash(files)
    archive = pack({**files, "HASH": f"{version}\n".encode()})
    print(json.dumps({"hash": version, "archive": base64.b64encode(archive).decode()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
