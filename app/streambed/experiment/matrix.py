"""The matrix of an experiment: levels and fixed values, parsed through the factor registry."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from streambed.experiment.factor import Factor
from streambed.experiment.factors import PIPELINES, factors_of
from streambed.experiment.levels import Value
from streambed.experiment.mistakes import Mistakes, Place, Rejected, unknown
from streambed.experiment.overrides import Assignment
from streambed.experiment.source import Key, Source, Where
from streambed.results.measures import MEASURES

Levels = Mapping[str, tuple[Value, ...]]
Point = tuple[str, Mapping[str, Value], float, str]


@dataclass(frozen=True)
class Matrix:
    """Factor name → levels, and factor name → fixed value."""

    pipeline: str
    levels: Levels
    """Of a union of parts: those that any of them has."""
    parts: tuple[Levels, ...]
    """Each gives the product of its levels; one that is `levels`, where there is no union."""
    fixed: Mapping[str, Value]
    repeats: int | None
    """Repeats that the chosen subset asks for."""
    references: tuple[Point, ...]


@dataclass
class _Reader:
    source: Source
    factors: Mapping[str, Factor]
    mistakes: Mistakes

    @property
    def folder(self) -> Path:
        return Path(self.source.name).resolve().parent

    def at(self, where: Where) -> Any:
        """What is at a place; None where there is nothing."""
        node: Any = self.source.data
        for key in where:
            if isinstance(node, list):
                node = node[int(key)]
            else:
                node = node.get(key) if isinstance(node, dict) else None
        return node

    def mapping(self, where: Where) -> dict[Key, Any]:
        """What is at a place, or nothing when it is no mapping (the structure check told)."""
        node = self.at(where)
        return node if isinstance(node, dict) else {}

    def length(self, where: Where) -> int:
        """How many entries the list at a place has, none when it is no list."""
        node = self.at(where)
        return len(node) if isinstance(node, list) else 0

    def factor(self, name: Key, where: Where) -> Factor | None:
        if name in self.factors:
            return self.factors[str(name)]
        self.mistakes.add(self.source.place(where), unknown("factor", name, self.factors))
        return None

    def value(self, factor: Factor, raw: object, where: Where) -> tuple[bool, Value]:
        try:
            return True, factor.parse(raw, self.folder)
        except Rejected as error:
            self.mistakes.add(self.source.place(where), f"{factor.name}: {error}")
            return False, None

    def levels(self, where: Where) -> dict[str, tuple[Value, ...]]:
        result = {}
        for name, raw_levels in self.mapping(where).items():
            inner = (*where, name)
            factor = self.factor(name, inner)
            if factor is None or not isinstance(raw_levels, list):
                continue
            if not raw_levels:
                text = (
                    f"{factor.name}: no levels; allowed are one or more of: {factor.kind.allowed}"
                )
                self.mistakes.add(self.source.place(inner), text)
            values: list[Value] = []
            for index, raw in enumerate(raw_levels):
                parsed, value = self.value(factor, raw, (*inner, index))
                if parsed and value in values:
                    text = f"{factor.name}: {raw!r} is a duplicate level; allowed is once"
                    self.mistakes.add(self.source.place((*inner, index)), text)
                elif parsed:
                    values.append(value)
            result[factor.name] = tuple(values)
        return result

    def fixed(self, where: Where) -> dict[str, Value]:
        result = {}
        for name, raw in self.mapping(where).items():
            inner = (*where, name)
            factor = self.factor(name, inner)
            if factor is None:
                continue
            if isinstance(raw, list):
                text = f"{factor.name}: a fixed value is one value; levels belong under `factors`"
                self.mistakes.add(self.source.place(inner), text)
                continue
            parsed, value = self.value(factor, raw, inner)
            if parsed:
                result[factor.name] = value
        return result

    def refuse_both(self, levels: Levels, fixed: Iterable[str], where: Where) -> None:
        for name in fixed:
            if name in levels:
                text = f"{name!r} is under `factors` too; allowed is one of the two"
                self.mistakes.add(self.source.place((*where, name)), text)

    def references(self) -> list[Point]:
        data = self.source.data
        entries = data.get("reference") if isinstance(data, dict) else None
        points: list[Point] = []
        for index, entry in enumerate(entries if isinstance(entries, list) else []):
            where: Where = ("reference", index)
            if not isinstance(entry, dict):
                continue
            measure = entry.get("measure")
            if isinstance(measure, str) and measure not in MEASURES:
                place = self.source.place((*where, "measure"))
                self.mistakes.add(place, unknown("measure", measure, MEASURES))
            at = self.fixed((*where, "at"))
            value = entry.get("value")
            if isinstance(value, int | float):
                fields = {self.factors[name].field: level for name, level in at.items()}
                points.append((str(measure), fields, float(value), str(entry.get("source"))))
        return points


def read_matrix(source: Source, subset: str | None, mistakes: Mistakes) -> Matrix | None:
    """Parse every level, of all subsets too, and cut the matrix down to `subset`.

    Returns None when the pipeline is unknown: then no factor means anything.
    """
    pipeline = source.data.get("pipeline") if isinstance(source.data, dict) else None
    if not isinstance(pipeline, str) or pipeline not in PIPELINES:
        return None
    reader = _Reader(source, factors_of(pipeline), mistakes)
    levels = reader.levels(("factors",))
    parts = _parts(reader, levels, ()) or [levels]
    fixed = reader.fixed(("fixed",))
    reader.refuse_both(levels, fixed, ("fixed",))
    references = tuple(reader.references())
    whole = Matrix(pipeline, _union(levels, parts), tuple(parts), fixed, None, references)
    subsets = {
        str(name): _slice(reader, whole, levels, ("subsets", name))
        for name in reader.mapping(("subsets",))
    }
    if subset is None:
        return whole
    if subset not in subsets:
        mistakes.add(Place(f"--subset {subset}"), unknown("subset", subset, subsets))
        return whole
    return subsets[subset]


def _slice(reader: _Reader, whole: Matrix, written: Levels, where: Where) -> Matrix:
    """A subset of the levels that are `written`: with parts of its own, or cut from the whole's.

    One that names all factors is what it says; what others leave out goes together as in the whole.
    """
    levels = _levels(reader, written, (*where, "factors"))
    parts = _parts(reader, levels, where)
    if not parts and written.keys() - reader.mapping((*where, "factors")).keys():
        parts = _cut(whole.parts, levels)
    parts = parts or [levels]
    fixed = reader.fixed((*where, "fixed"))
    reader.refuse_both(levels, fixed, (*where, "fixed"))
    repeats = reader.mapping(where).get("repeats")
    return replace(
        whole,
        levels=_union(levels, parts),
        parts=tuple(parts),
        fixed=_merge(whole.fixed, fixed),
        repeats=repeats if isinstance(repeats, int) else None,
    )


def _parts(reader: _Reader, levels: Levels, where: Where) -> list[Levels]:
    """What is written under `parts`, each cut out of the levels; empty where nothing is."""
    return [
        _levels(reader, levels, (*where, "parts", index, "factors"))
        for index in range(reader.length((*where, "parts")))
    ]


def _cut(parts: Sequence[Levels], levels: Levels) -> list[Levels]:
    """What slices have of these levels, where all factors are left with one."""
    cut = [
        {name: tuple(v for v in values if v in part[name]) for name, values in levels.items()}
        for part in parts
    ]
    return [part for part in cut if all(part.values())]


def _union(levels: Levels, parts: Sequence[Levels]) -> Levels:
    """The levels that any of the parts has, in the order of the file."""
    return {
        name: tuple(value for value in values if any(value in part[name] for part in parts))
        for name, values in levels.items()
    }


def _levels(reader: _Reader, whole: Levels, where: Where) -> Levels:
    """The levels of a slice: those written, which must be some of the whole's, else all."""
    levels = dict(whole)
    for name, values in reader.levels(where).items():
        inner: Where = (*where, name)
        if name not in whole:
            text = unknown("factor of this matrix", name, whole)
            reader.mistakes.add(reader.source.place(inner), text)
            continue
        show = reader.factors[name].show
        for value in values:
            if value not in whole[name]:
                allowed = ", ".join(show(level) for level in whole[name])
                text = f"{name}: {show(value)!r} is not in the matrix; allowed are {allowed}"
                reader.mistakes.add(reader.source.place(inner), text)
        levels[name] = values
    return levels


# Two ways to say how long a cell is: the later word replaces both.
_LENGTHS = ("image_count", "duration")


def _merge(fixed: Mapping[str, Value], changes: Mapping[str, Value]) -> dict[str, Value]:
    merged = dict(fixed)
    if any(name in changes for name in _LENGTHS):
        for name in _LENGTHS:
            merged.pop(name, None)
    return {**merged, **changes}


def apply_assignments(
    matrix: Matrix, assignments: Iterable[Assignment], folder: Path, mistakes: Mistakes
) -> Matrix:
    """`--set`: several levels make a factor of it, one level replaces the levels or fixes it."""
    factors = factors_of(matrix.pipeline)
    every = [dict(levels) for levels in (matrix.levels, *matrix.parts)]
    fixed = dict(matrix.fixed)
    for assignment in assignments:
        factor = factors.get(assignment.name)
        if factor is None:
            mistakes.add(assignment.place, unknown("factor", assignment.name, factors))
            continue
        values: list[Value] = []
        for raw in assignment.levels:
            try:
                value = factor.parse(raw, folder)
            except Rejected as error:
                mistakes.add(assignment.place, f"{factor.name}: {error}")
                continue
            if value in values:
                text = f"{factor.name}: {raw!r} is a duplicate level; allowed is once"
                mistakes.add(assignment.place, text)
            values.append(value)
        if factor.name in _LENGTHS:
            for name in _LENGTHS:
                fixed.pop(name, None)
                for levels in every:
                    levels.pop(name, None)
        if len(values) > 1 or factor.name in every[0]:
            fixed.pop(factor.name, None)
            for levels in every:
                levels[factor.name] = tuple(values)
        elif values:
            fixed[factor.name] = values[0]
    return replace(matrix, levels=every[0], parts=tuple(every[1:]), fixed=fixed)
