"""A run on disk, for the runner: begins attempts, adds rows durably, and goes on after a kill."""

import datetime as dt
import fcntl
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from streambed import paths
from streambed.errors import StreambedError
from streambed.experiment.cells import Cell, cells, config_hash
from streambed.experiment.experiment import Experiment
from streambed.experiment.order import Execution, default_seed, order
from streambed.results import manifest as manifests
from streambed.results import run as runs
from streambed.results import speed_up, table
from streambed.results.files import write_text
from streambed.results.manifest import MUST_MATCH, CellRecord, Facts, Manifest, differences, merge
from streambed.results.row import Flat, Row, plain


@dataclass(frozen=True)
class Attempt:
    """A begun execution: what it is called, and where its raw samples go."""

    execution: Execution
    number: int
    directory: Path
    started_at: float


@dataclass
class RunWriter:
    """One runner's hold on a run; a second one is refused. Use as a context manager."""

    directory: Path
    manifest: Manifest
    executions: tuple[Execution, ...]
    """All of the run, in order."""
    _lock: int
    _rows: list[Flat] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the run."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    @property
    def rows(self) -> tuple[Flat, ...]:
        """Every row so far, all attempts."""
        return tuple(self._rows)

    def state_of(self, execution: Execution) -> str:
        """`ok`, `failed`, `interrupted` (its last attempt), or `missing`."""
        for row in table.last_attempts(self._rows):
            if (row["cell"], row["repeat"]) == execution.key:
                return str(row["status"])
        return "missing"

    def pending(self) -> tuple[Execution, ...]:
        """What is still to run: missing, failed and interrupted executions, in order."""
        return tuple(e for e in self.executions if self.state_of(e) != "ok")

    def begin(self, execution: Execution) -> Attempt:
        """Start an attempt: its number is new even when a kill ate the one before."""
        key = execution.key
        used = [row["attempt"] for row in self._rows if (row["cell"], row["repeat"]) == key]
        used += [n for *begun, n in runs.attempts(self.directory) if tuple(begun) == key]
        attempt = Attempt(
            execution=execution,
            number=max(used, default=0) + 1,
            directory=runs.raw_directory(self.directory, *key, max(used, default=0) + 1),
            started_at=time.time(),
        )
        attempt.directory.mkdir(parents=True)
        facts = {"started_at": attempt.started_at, "label": execution.cell.label}
        write_text(attempt.directory / runs.ATTEMPT, json.dumps(facts) + "\n")
        return attempt

    def append(self, row: Row) -> None:
        """Add a row; when this returns it is on disk and survives a kill -9."""
        self.append_flat([row.flat()])

    def append_flat(self, rows: Sequence[Flat]) -> None:
        """The same for rows that are flat already."""
        speed_up.fill([*self._rows, *rows])
        table.write(self.directory / runs.CELLS, [*self._rows, *rows])
        self._rows += rows

    def record_facts(self, facts: Facts) -> None:
        """Put what was found out into the manifest; what is not given stays as it was.

        Raises:
            StreambedError: results of this run were made under other facts; nothing is changed.
        """
        before = self.manifest.facts.model_dump()
        found = plain(facts.model_dump())
        if self._rows:
            conflicts = {
                name: (old, new)
                for part in MUST_MATCH
                for name, (old, new) in differences(
                    {part: before[part]}, {part: found[part]}
                ).items()
                if old not in (None, {}) and new not in (None, {})
            }
            if conflicts:
                raise _refusal(self.directory, conflicts)
        self.manifest.facts = Facts.model_validate(merge(before, found))
        manifests.write(self.directory, self.manifest)

    def finish(self) -> None:
        """Every execution was tried: note when."""
        self.manifest.finished_at = _now()
        manifests.write(self.directory, self.manifest)


def create(
    experiment: Experiment, root: Path | None = None, *, seed: int | None = None
) -> RunWriter:
    """Begin a run in `<root>/<experiment>-<UTC time>/` (root: by default the clone's results)."""
    root = root or paths.results_dir()
    all_cells = cells(experiment)
    chosen = default_seed(all_cells) if seed is None else seed
    executions = order(all_cells, experiment.repeats, chosen)
    manifest = Manifest(
        experiment=experiment.name,
        study=experiment.study,
        pipeline=experiment.pipeline,
        factors=[factor.field for factor in experiment.varied],
        file=_within_clone(experiment.path),
        text=experiment.text,
        options=experiment.overrides.as_record(),
        config_hash=config_hash(all_cells),
        seed=chosen,
        repeats=experiment.repeats,
        order=[execution.key for execution in executions],
        cells=[_record(cell) for cell in all_cells],
        references=[
            {"measure": p.measure, "at": dict(p.at), "value": p.value, "source": p.source}
            for p in experiment.references
        ],
        created_at=_now(),
    )
    directory = _new_directory(root, experiment.name)
    lock = _take(directory)
    manifests.write(directory, manifest)
    return RunWriter(directory, manifest, executions, lock)


def resume(
    experiment: Experiment, root: Path | None = None, *, run: str | None = None
) -> RunWriter:
    """Go on with a run: the newest of the experiment, or the one named.

    Attempts that a kill cut off become rows, status interrupted. More repeats than before are
    appended; what is measured must be the same.

    Raises:
        StreambedError: there is no such run, another runner holds it, or its cells are not
            those of the experiment (the message says what differs).
    """
    found = runs.find(run, root) if run else runs.newest(experiment.name, root)
    all_cells = cells(experiment)
    _refuse_other_cells(found, experiment, all_cells)
    lock = _take(found.directory)
    try:
        rows = table.read(found.directory / runs.CELLS)
        manifest = found.manifest
        manifest.repeats = max(manifest.repeats, experiment.repeats)
        executions = order(all_cells, manifest.repeats, manifest.seed)
        manifest.order = [execution.key for execution in executions]
        manifest.resumed_at = [*manifest.resumed_at, _now()]
        manifest.finished_at = None
        writer = RunWriter(found.directory, manifest, executions, lock, rows)
        lost = runs.orphans(found.directory, manifest, rows)
        if lost:
            writer.append_flat(lost)
        manifests.write(found.directory, manifest)
    except BaseException:
        os.close(lock)
        raise
    return writer


def _within_clone(path: Path) -> str:
    """A file of the clone by its place in it: a run is judged on other machines too."""
    return str(path.relative_to(paths.ROOT) if path.is_relative_to(paths.ROOT) else path)


def _record(cell: Cell) -> CellRecord:
    return CellRecord(
        id=cell.id,
        identity=cell.identity,
        label=cell.label,
        fields=cell.fields(),
        effective=cell.effective(),
    )


def _refuse_other_cells(
    found: runs.Run, experiment: Experiment, all_cells: tuple[Cell, ...]
) -> None:
    manifest = found.manifest
    if manifest.config_hash == config_hash(all_cells):
        return
    before = {cell.identity: cell for cell in manifest.cells}
    changed: dict[str, tuple[Any, Any]] = {}
    if manifest.experiment != experiment.name:
        changed["experiment"] = (manifest.experiment, experiment.name)
    by_label = {cell.label: cell for cell in manifest.cells}
    for cell in all_cells:
        if cell.identity in before:
            continue
        same = by_label.get(cell.label)
        if same is None:
            changed[f"cell {cell.label!r}"] = (None, "added")
            continue
        changed |= differences(same.effective, cell.effective())
    labels = {cell.label for cell in all_cells}
    for label in by_label:
        if label not in labels:
            changed[f"cell {label!r}"] = ("there", None)
    raise _refusal(found.directory, changed)


def _refusal(directory: Path, changed: dict[str, tuple[Any, Any]]) -> StreambedError:
    listed = [f"  {name}: {old!r} then, {new!r} now" for name, (old, new) in changed.items()]
    shown = listed[:12] + ([f"  and {len(listed) - 12} more"] if len(listed) > 12 else [])
    text = "\n".join([f"{directory}: its results were made with another configuration:", *shown])
    return StreambedError(text, hint="run without --resume to begin a new run")


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")


def _new_directory(root: Path, name: str) -> Path:
    stamp = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%SZ")
    for suffix in ("", *(f"-{n}" for n in range(2, 1000))):
        directory = root / f"{name}-{stamp}{suffix}"
        try:
            directory.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise StreambedError(f"{directory}: cannot be made: {error.strerror}") from error
        return directory
    raise StreambedError(f"{root}: no free name for a run of {name!r}")


def _take(directory: Path) -> int:
    descriptor = os.open(directory / runs.LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise StreambedError(
            f"{directory}: another runner is writing to this run", hint="wait until it ends"
        ) from error
    return descriptor
