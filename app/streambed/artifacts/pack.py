"""Pack a component's files into one tar, byte for byte the same wherever it is made."""

import tarfile
from collections.abc import Iterable
from pathlib import Path


def pack(members: Path, names: Iterable[str], target: Path) -> None:
    """Write `names` (paths relative to `members`) into the uncompressed tar `target`.

    Uncompressed: jars and wheels are compressed already. Owner, mode and time are fixed, since a
    checksum of the whole can be pinned only when nothing of this machine gets in.
    """
    with tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name in sorted(names):
            path = members / name
            entry = tarfile.TarInfo(name)
            entry.size = path.stat().st_size
            entry.mode = 0o644
            with path.open("rb") as content:
                tar.addfile(entry, content)
