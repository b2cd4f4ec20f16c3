"""An experiment, read and checked in full before anything is touched."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streambed import inventory, paths
from streambed.errors import StreambedError
from streambed.experiment.factor import Configuration, Factor
from streambed.experiment.factors import PIPELINES, factors_of
from streambed.experiment.fitting import refusals
from streambed.experiment.levels import Value
from streambed.experiment.matrix import Matrix, apply_assignments, read_matrix
from streambed.experiment.mistakes import Mistakes, Place, unknown
from streambed.experiment.overrides import Overrides, assignments
from streambed.experiment.schema import ExperimentFile, Gates, WarmUp
from streambed.experiment.source import read
from streambed.experiment.structure import validate


@dataclass(frozen=True)
class ReferencePoint:
    """A published value to draw beside ours; `at` is field → value of a row."""

    measure: str
    at: Mapping[str, Value]
    value: float
    source: str


@dataclass(frozen=True)
class Experiment:
    """One experiment with all options applied; everything in it is typed and allowed."""

    name: str
    study: str | None
    pipeline: str
    path: Path
    text: str
    """The file as it was written."""
    levels: Mapping[str, tuple[Value, ...]]
    """Factor name → its levels; more than one cell comes from these."""
    parts: tuple[Mapping[str, tuple[Value, ...]], ...]
    """The same of each slice that a subset is the union of."""
    fixed: Mapping[str, Value]
    """Factor name → the one value of all cells, written or set; the rest has its default."""
    bed: str | tuple[str, Mapping[Value, str]]
    """One inventory, or a factor's name and an inventory per level."""
    repeats: int
    warm_up: WarmUp
    gates: Gates
    subset: str | None
    references: tuple[ReferencePoint, ...]
    overrides: Overrides

    @property
    def factors(self) -> dict[str, Factor]:
        """The pipeline's factors by name."""
        return factors_of(self.pipeline)

    @property
    def varied(self) -> tuple[Factor, ...]:
        """The factors with levels, in the file's order."""
        return tuple(self.factors[name] for name in self.levels)

    def configurations(self) -> Iterator[Configuration]:
        """Every combination of levels, in the file's order; what two parts share comes once."""
        cls = PIPELINES[self.pipeline]
        fixed: dict[str, Any] = {
            self.factors[name].field: value for name, value in self.fixed.items()
        }
        fields = [self.factors[name].field for name in self.levels]
        combinations = (itertools.product(*part.values()) for part in self.parts)
        for combination in dict.fromkeys(itertools.chain.from_iterable(combinations)):
            yield cls(**{**fixed, **dict(zip(fields, combination, strict=True))})

    def bed_of(self, configuration: Configuration) -> str:
        """The inventory a cell runs on."""
        if isinstance(self.bed, str):
            return self.bed
        name, by_level = self.bed
        return by_level[getattr(configuration, self.factors[name].field)]

    @property
    def beds(self) -> tuple[str, ...]:
        """Every inventory the experiment needs, once, in order of use."""
        return tuple(dict.fromkeys(self.bed_of(c) for c in self.configurations()))


def find(name: str | Path) -> Path:
    """The file of an experiment: a path, or the name of one in `experiments/`.

    Raises:
        StreambedError: there is none; the message lists those the clone has.
    """
    folder = paths.ROOT / "experiments"
    for candidate in (Path(name), folder / f"{name}.yml", folder / name):
        if candidate.is_file():
            return candidate
    known = sorted(path.stem for path in folder.glob("*.yml"))
    raise StreambedError(f"{unknown('experiment', name, known)}, or the path of a YAML file")


def load(name: str | Path, overrides: Overrides | None = None) -> Experiment:
    """Read an experiment and apply the options of the command line.

    Args:
        name: a path, or the name of a file in `experiments/`.
        overrides: the options; levels set there replace those of the file.

    Raises:
        StreambedError: every mistake found, each with file and line (or option), the value,
            and what is allowed.
    """
    overrides = overrides or Overrides()
    path = find(name)
    mistakes = Mistakes()
    source = read(path, mistakes)
    parsed = validate(source, mistakes)
    matrix = read_matrix(source, overrides.subset, mistakes)
    if matrix is not None:
        here = Path.cwd()
        matrix = apply_assignments(matrix, assignments(overrides, mistakes), here, mistakes)
    if overrides.repeats is not None and overrides.repeats < 1:
        mistakes.add(Place(f"--repeats {overrides.repeats}"), "allowed is a number of at least 1")
    mistakes.raise_if_any()
    assert parsed is not None
    assert matrix is not None
    bed = _bed(parsed, matrix, overrides, source.place(("bed",)), mistakes)
    mistakes.raise_if_any()
    experiment = Experiment(
        name=parsed.name,
        study=parsed.study,
        pipeline=parsed.pipeline,
        path=path.resolve(),
        text=source.text,
        levels=matrix.levels,
        parts=matrix.parts,
        fixed=matrix.fixed,
        bed=bed,
        repeats=overrides.repeats or matrix.repeats or parsed.repeats,
        warm_up=parsed.warm_up,
        gates=parsed.gates,
        subset=overrides.subset,
        references=tuple(ReferencePoint(*point) for point in matrix.references),
        overrides=overrides,
    )
    _check_combinations(experiment, source.place(("factors",)), mistakes)
    mistakes.raise_if_any()
    return experiment


def _inventory_name(bed: str, place: Place, mistakes: Mistakes) -> str:
    """`duo` for the clone's own, else the absolute path."""
    try:
        found = inventory.resolve(bed)
    except StreambedError as error:
        mistakes.add(place, error.message)
        return bed
    folder = found.parent if found.is_file() else found
    own = folder.parent == (paths.ROOT / "inventory").resolve()
    return folder.name if own else str(found)


def _bed(
    parsed: ExperimentFile, matrix: Matrix, overrides: Overrides, place: Place, mistakes: Mistakes
) -> str | tuple[str, Mapping[Value, str]]:
    if overrides.bed is not None:
        option = Place(f"--inventory {overrides.bed}")
        return _inventory_name(overrides.bed, option, mistakes)
    if isinstance(parsed.bed, str):
        return _inventory_name(parsed.bed, place, mistakes)
    name = parsed.bed.factor
    if name not in matrix.levels:
        mistakes.add(place, unknown("factor of this matrix", name, matrix.levels))
        return ""
    factor = factors_of(parsed.pipeline)[name]
    by_level: dict[Value, str] = {}
    for raw, bed in parsed.bed.levels.items():
        try:
            by_level[factor.parse(raw, Path())] = _inventory_name(bed, place, mistakes)
        except ValueError as error:
            mistakes.add(place, f"bed.levels: {error}")
    for level in matrix.levels[name]:
        if level not in by_level:
            mistakes.add(place, f"no bed for {name} = {factor.show(level)}")
            by_level[level] = ""
    return name, by_level


def _check_combinations(experiment: Experiment, place: Place, mistakes: Mistakes) -> None:
    """What no single level can show: a cell that could not be run."""
    for configuration in experiment.configurations():
        texts = configuration.contradictions()
        texts += refusals(configuration, inventory.load(experiment.bed_of(configuration)))
        for text in texts:
            mistakes.add(place, text)
