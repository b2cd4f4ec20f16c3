"""The cache on disk: nothing in it is trusted but by its checksum."""

import json
import os
import shutil
from pathlib import Path

from streambed import paths
from streambed.artifacts.digest import sha256_of
from streambed.artifacts.pins import Artifact
from streambed.errors import StreambedError

_SPARE_BYTES = 64 * 1024 * 1024


class Store:
    """The directory of artifacts, shared by all clones and safe for several processes."""

    def __init__(self, directory: Path | None = None) -> None:
        self.directory = directory or paths.cache_dir() / "artifacts"
        self.workshops = self.directory / "fetching"
        self._records = self.directory / "verified"
        for path in (self.workshops, self._records):
            path.mkdir(parents=True, exist_ok=True)

    def path(self, artifact: Artifact) -> Path:
        """Where the artifact is, or will be."""
        return self.directory / artifact.file

    def lock_path(self, name: str) -> Path:
        """The lock that whoever fetches the component `name` holds."""
        return self.workshops / f"{name}.lock"

    def holds(self, artifact: Artifact, *, thorough: bool) -> bool:
        """Whether the artifact is here and right.

        Args:
            thorough: read the whole file. Otherwise a file that is unchanged (inode, size, times)
                since it was last read in full counts as right: enough to know that nothing must be
                fetched, not enough to use it.
        """
        path = self.path(artifact)
        if not path.is_file():
            return False
        if not thorough and self._recorded(artifact) == _identity(path, artifact.sha256):
            return True
        if path.stat().st_size != artifact.size_bytes or sha256_of(path) != artifact.sha256:
            return False
        self._record(artifact)
        return True

    def discard(self, artifact: Artifact) -> None:
        """Remove a damaged file."""
        self.path(artifact).unlink(missing_ok=True)

    def publish(self, source: Path, artifact: Artifact) -> None:
        """Move a finished, checked file to its place, so that it appears there whole or not."""
        with source.open("rb") as file:
            os.fsync(file.fileno())
        source.chmod(0o644)
        source.replace(self.path(artifact))
        self._record(artifact)

    def require_space(self, needed_bytes: int, *, what: str) -> None:
        """Fail early when the disk cannot take what is about to be fetched."""
        needed_bytes += _SPARE_BYTES
        free = shutil.disk_usage(self.directory).free
        if free < needed_bytes:
            raise StreambedError(
                f"{what} needs {needed_bytes / 1e6:.0f} MB in {self.directory}, "
                f"where {free / 1e6:.0f} MB are free",
                hint="make room, or name another directory: STREAMBED_CACHE=DIR",
            )

    def _recorded(self, artifact: Artifact) -> dict[str, int | str] | None:
        try:
            record = json.loads(self._record_path(artifact).read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        return record if isinstance(record, dict) else None

    def _record(self, artifact: Artifact) -> None:
        record = self._record_path(artifact)
        temporary = record.with_name(f"{record.name}.{os.getpid()}")
        temporary.write_text(json.dumps(_identity(self.path(artifact), artifact.sha256)))
        temporary.replace(record)

    def _record_path(self, artifact: Artifact) -> Path:
        return self._records / f"{artifact.file}.json"


def _identity(path: Path, sha256: str) -> dict[str, int | str]:
    status = path.stat()
    return {
        "sha256": sha256,
        "inode": status.st_ino,
        "size_bytes": status.st_size,
        "mtime_ns": status.st_mtime_ns,
        "ctime_ns": status.st_ctime_ns,
    }
