"""A run on disk, for reading: its manifest, its rows, its raw samples."""

import fcntl
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streambed import paths
from streambed.errors import StreambedError
from streambed.experiment.mistakes import unknown
from streambed.results import manifest as manifests
from streambed.results import table
from streambed.results.manifest import Manifest
from streambed.results.measures import MEASURES_OF
from streambed.results.row import Flat

CELLS = "cells.parquet"
RAW = "raw"
LOCK = ".lock"
ATTEMPT = "attempt.json"

_RUN_NAME = re.compile(r"(?P<experiment>.+)-(?P<time>\d{8}T\d{6}Z)(-\d+)?")
_RAW_NAME = re.compile(r"(?P<cell>[0-9a-f]+)-(?P<repeat>\d+)-(?P<attempt>\d+)")

KILLED = "the runner ended without a word (killed, or the machine went down)"


@dataclass(frozen=True)
class Run:
    """One run."""

    directory: Path
    manifest: Manifest

    @property
    def name(self) -> str:
        """Name of the directory: `small-20261121T103000Z`."""
        return self.directory.name

    def rows(self, *, every_attempt: bool = False) -> list[Flat]:
        """One mapping per cell and repeat (the last attempt), or one per attempt.

        An attempt that a kill cut off has no row in the table; unless the run is under way it
        is reported here as interrupted.
        """
        rows = table.read(self.directory / CELLS)
        if not self.under_way():
            rows += orphans(self.directory, self.manifest, rows)
        return rows if every_attempt else table.last_attempts(rows)

    def raw_directory(self, row: Flat) -> Path:
        """Where the raw samples of a row lie."""
        return raw_directory(self.directory, row["cell"], row["repeat"], row["attempt"])

    def under_way(self) -> bool:
        """Whether a runner is writing to it now."""
        try:
            descriptor = os.open(self.directory / LOCK, os.O_RDONLY)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(descriptor)
        return False


def raw_directory(directory: Path, cell: str, repeat: int, attempt: int) -> Path:
    """`raw/<cell>-<repeat>-<attempt>` of a run."""
    return directory / RAW / f"{cell}-{repeat}-{attempt}"


def attempts(directory: Path) -> list[tuple[str, int, int]]:
    """(cell, repeat, attempt) of every attempt that was begun."""
    folder = directory / RAW
    names = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
    matches = [match for match in map(_RAW_NAME.fullmatch, names) if match]
    return [(m["cell"], int(m["repeat"]), int(m["attempt"])) for m in matches]


def orphans(directory: Path, manifest: Manifest, rows: list[Flat]) -> list[Flat]:
    """Rows, status interrupted, for the attempts that were begun and never recorded."""
    recorded = {(row["cell"], row["repeat"], row["attempt"]) for row in rows}
    cells = {cell.id: cell for cell in manifest.cells}
    return [
        _interrupted(directory, manifest, cells[cell].fields, (cell, repeat, attempt))
        for cell, repeat, attempt in attempts(directory)
        if (cell, repeat, attempt) not in recorded and cell in cells
    ]


def _interrupted(
    directory: Path, manifest: Manifest, fields: dict[str, Any], key: tuple[str, int, int]
) -> Flat:
    cell, repeat, attempt = key
    folder = raw_directory(directory, cell, repeat, attempt)
    try:
        started_at = json.loads((folder / ATTEMPT).read_text())["started_at"]
    except (OSError, ValueError, KeyError, TypeError):
        started_at = None
    measures = MEASURES_OF[manifest.pipeline]() if manifest.pipeline in MEASURES_OF else None
    return {
        "status": "interrupted",
        "flags": [],
        "attempt": attempt,
        "repeat": repeat,
        "cell": cell,
        **fields,
        **(measures.as_fields() if measures else {}),
        "reason": KILLED,
        "started_at": started_at,
        "ended_at": None,
        "gates": {},
    }


def open_run(directory: Path) -> Run:
    """A run by its directory.

    Raises:
        StreambedError: it is missing, damaged, or not a run.
    """
    if not directory.is_dir():
        raise StreambedError(f"{directory}: no such directory")
    return Run(directory=directory, manifest=manifests.read(directory))


def list_runs(root: Path | None = None, experiment: str | None = None) -> list[Path]:
    """The runs under `root` (by default the clone's), oldest first."""
    root = root or paths.results_dir()
    found = []
    for entry in root.iterdir() if root.is_dir() else ():
        match = _RUN_NAME.fullmatch(entry.name)
        wanted = match is not None and experiment in (None, match["experiment"])
        if match and wanted and (entry / manifests.FILE).is_file():
            found.append((match["time"], _suffix(entry.name), entry))
    return [entry for _, _, entry in sorted(found)]


def _suffix(name: str) -> int:
    match = _RUN_NAME.fullmatch(name)
    return int(match[3][1:]) if match and match[3] else 0


def newest(experiment: str, root: Path | None = None) -> Run:
    """The newest run of an experiment.

    Raises:
        StreambedError: it has none.
    """
    runs = list_runs(root, experiment)
    if not runs:
        folder = root or paths.results_dir()
        raise StreambedError(
            f"no run of experiment {experiment!r} in {folder}",
            hint=f"./streambed run {experiment}",
        )
    return open_run(runs[-1])


def find(name: str, root: Path | None = None) -> Run:
    """A run by path, by its name, or the newest one by the name of its experiment.

    Raises:
        StreambedError: there is none; the message lists those there are.
    """
    folder = root or paths.results_dir()
    for candidate in (Path(name), folder / name):
        if candidate.is_dir() and (candidate / manifests.FILE).exists():
            return open_run(candidate.resolve())
    if list_runs(folder, name):
        return newest(name, folder)
    if Path(name).exists():
        return open_run(Path(name))
    known = [run.name for run in list_runs(folder)]
    raise StreambedError(
        f"{unknown('run', name, known)}, the name of their experiment, or a path",
        hint="" if known else "./streambed run small",
    )
