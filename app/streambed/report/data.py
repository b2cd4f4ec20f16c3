"""Rows of one or more runs as a report needs them: which factor goes where, and points."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from streambed.experiment.factor import Factor
from streambed.experiment.factors import PIPELINES, by_field
from streambed.experiment.levels import Choice
from streambed.report.statistics import estimate
from streambed.results.row import Flat
from streambed.results.run import Run

RUN = "run"
"""The field that tells the runs of one report apart."""

PREFERRED_X = ("bandwidth_mbit_per_s",)
PREFERRED_SERIES = ("trigger_s",)


@dataclass(frozen=True)
class Point:
    """One measure at one combination of levels: median over repeats, interval where known."""

    x: Any
    series: Any
    panel: str
    median: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class ReportData:
    """The runs of a report, read once."""

    runs: tuple[Run, ...]
    rows: tuple[Flat, ...]
    """The last attempt of every cell and repeat, with the run's name; cells as in the file."""
    preferred_x: tuple[str, ...] = PREFERRED_X
    preferred_series: tuple[str, ...] = PREFERRED_SERIES

    @classmethod
    def of(cls, runs: Iterable[Run]) -> "ReportData":
        """Read the rows of runs."""
        chosen = tuple(runs)
        rows = []
        for run in chosen:
            order = {cell.id: index for index, cell in enumerate(run.manifest.cells)}
            found = sorted(run.rows(), key=lambda row: (order.get(row["cell"], -1), row["repeat"]))
            rows += [{RUN: run.name, **row} for row in found]
        return cls(chosen, tuple(rows))

    def view(
        self, rows: Iterable[Flat], *, x: str | None = None, series: str | None = None
    ) -> "ReportData":
        """Some of the rows, with axes of their own.

        Args:
            rows: which.
            x: the factor along the axis; None: as it is.
            series: the factor that gives the curves; None: as it is.
        """
        return replace(
            self,
            rows=tuple(rows),
            preferred_x=self.preferred_x if x is None else (x,),
            preferred_series=self.preferred_series if series is None else (series,),
        )

    @property
    def ok(self) -> tuple[Flat, ...]:
        """The rows that count."""
        return tuple(row for row in self.rows if row["status"] == "ok")

    @property
    def pipelines(self) -> frozenset[str]:
        """Pipelines of the runs."""
        return frozenset(run.manifest.pipeline for run in self.runs)

    def raw_directories(self, rows: Iterable[Flat]) -> list[Path]:
        """Where the raw data of these rows lie; what was published without them has none."""
        run_of = {run.name: run for run in self.runs}
        return [run_of[row[RUN]].raw_directory(row) for row in rows]

    @cached_property
    def varied(self) -> tuple[str, ...]:
        """Fields with more than one level in these rows: factors of the files, then the run."""
        names = dict.fromkeys(name for run in self.runs for name in run.manifest.factors)
        candidates = [*names, RUN]
        return tuple(f for f in candidates if len({row.get(f) for row in self.rows}) > 1)

    @cached_property
    def x(self) -> str | None:
        """The factor along the axis: the bandwidth, else the first that is a number."""
        return _first(self.preferred_x, self.varied) or next(
            (f for f in self.varied if self._is_number(f)), next(iter(self.varied), None)
        )

    @cached_property
    def series(self) -> str | None:
        """The factor that gives the curves: the trigger, else the next one."""
        rest = [field for field in self.varied if field != self.x]
        return _first(self.preferred_series, rest) or next(iter(rest), None)

    @cached_property
    def panels(self) -> tuple[str, ...]:
        """The factors left: one panel per combination of their levels."""
        return tuple(field for field in self.varied if field not in (self.x, self.series))

    def factor(self, field: str | None) -> Factor | None:
        """The registry's entry for a field; None for the run, or for a factor it no longer has."""
        for pipeline in self.pipelines & set(PIPELINES):
            found = by_field(pipeline).get(field or "")
            if found:
                return found
        return None

    def label(self, field: str) -> str:
        """Heading of an axis or a legend, with the unit."""
        factor = self.factor(field)
        return factor.label if factor else field.replace("_", " ")

    def show(self, field: str, value: Any) -> str:
        """A level in words."""
        factor = self.factor(field)
        return factor.show(value) if factor else str(value)

    def is_quantitative(self, field: str | None) -> bool:
        """Whether a field is drawn along a scale rather than as names."""
        return field is not None and self._is_number(field)

    def _is_number(self, field: str) -> bool:
        factor = self.factor(field)
        if factor is None or isinstance(factor.kind, Choice):
            return False
        values = [row.get(field) for row in self.rows]
        return any(isinstance(value, int | float) for value in values)

    def panel_of(self, row: Flat) -> str:
        """The panel a row belongs to, in words; empty when there is one panel."""
        return ", ".join(
            f"{self.factor_name(field)} {self.show(field, row.get(field))}" for field in self.panels
        )

    @cached_property
    def panel_levels(self) -> Mapping[str, Mapping[str, Any]]:
        """Panel in words → the levels of its factors."""
        return {self.panel_of(row): {f: row.get(f) for f in self.panels} for row in self.rows}

    def factor_name(self, field: str) -> str:
        """What a user calls a factor, in words."""
        factor = self.factor(field)
        return (factor.name if factor else field).replace("_", " ")

    @cached_property
    def _positions(self) -> dict[str, dict[Any, int]]:
        """Of every varied field, the position of each level: as written in the files."""
        listed = [
            {RUN: run.name, **cell.fields} for run in self.runs for cell in run.manifest.cells
        ]
        return {
            field: {
                level: index
                for index, level in enumerate(dict.fromkeys(cell.get(field) for cell in listed))
            }
            for field in self.varied
        }

    def position(self, field: str | None, level: Any) -> tuple[float, int]:
        """Sorts levels: numbers by size, words as written in the file."""
        if isinstance(level, int | float):
            return float(level), 0
        return math.inf, self._positions.get(field or "", {}).get(level, 0)

    def points(self, measure: str | Callable[[Flat], float | None]) -> list[Point]:
        """A measure, or a figure of a row, over repeats: a point where there is a value."""
        value_of = measure if callable(measure) else lambda row: row.get(measure)
        groups: dict[tuple[Any, Any, str], list[float]] = {}
        panels: dict[str, tuple[Any, ...]] = {}
        for row in self.ok:
            value = value_of(row)
            x = row.get(self.x) if self.x else "all"
            panels.setdefault(
                self.panel_of(row), tuple(self.position(f, row.get(f)) for f in self.panels)
            )
            if value is None or (x is None and self.is_quantitative(self.x)):
                continue  # an unshaped cell has no place along the axis; the table has it
            series = row.get(self.series) if self.series else None
            groups.setdefault((x, series, self.panel_of(row)), []).append(float(value))
        points = []
        for (x, series, panel), values in groups.items():
            found = estimate(values)
            assert found is not None
            points.append(Point(x, series, panel, found.median, found.low, found.high, found.n))
        return sorted(
            points,
            key=lambda point: (
                panels[point.panel],
                self.position(self.series, point.series),
                self.position(self.x, point.x),
            ),
        )


def _first(preferred: Iterable[str], among: Sequence[str]) -> str | None:
    return next((field for field in preferred if field in among), None)
