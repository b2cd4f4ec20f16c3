"""What a figure is, and the registry of all: a study adds its own with `@figure`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from streambed.report.data import ReportData


@dataclass(frozen=True)
class Drawing:
    """A drawn figure: the chart, what it shows in words, and its numbers."""

    chart: Any
    caption: str
    alternative: str
    """For those who cannot see it."""
    table: list[dict[str, Any]]
    """One mapping per point: what the CSV holds."""


@dataclass(frozen=True)
class Figure:
    """One figure of the registry; `draw` gives None when the rows have nothing to show."""

    name: str
    """Also the name of its files."""
    title: str
    pipeline: str
    draw: Callable[[ReportData], Drawing | None]


FIGURES: dict[str, Figure] = {}


def figure(
    name: str, title: str, pipeline: str
) -> Callable[[Callable[[ReportData], Drawing | None]], Callable[[ReportData], Drawing | None]]:
    """Register a figure; reports of its pipeline draw it, in the order of registration."""

    def register(
        draw: Callable[[ReportData], Drawing | None],
    ) -> Callable[[ReportData], Drawing | None]:
        FIGURES[name] = Figure(name, title, pipeline, draw)
        return draw

    return register
