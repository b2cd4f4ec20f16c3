"""Builds a report: PNG, SVG and CSV per figure, and one page that needs nothing else."""

import csv
import datetime as dt
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import vl_convert

import streambed.report.catalogue  # noqa: F401  (registers the figures)
from streambed import paths
from streambed.errors import StreambedError
from streambed.report.data import ReportData
from streambed.report.figure import FIGURES, Drawing, Figure
from streambed.report.headline import headline
from streambed.report.page import PageFigure, render_page
from streambed.results.files import atomic, write_text
from streambed.results.run import Run

PAGE = "index.html"
PNG_SCALE = 3.0
"""300 dpi when the figure is printed at 100 mm."""


@dataclass(frozen=True)
class Report:
    """What was written."""

    page: Path
    files: tuple[Path, ...]
    """PNG, SVG and CSV of every figure."""
    headline: str


def build(runs: Sequence[Run], output: Path | None = None) -> Report:
    """Build the report of one or more runs.

    Args:
        runs: their rows are drawn together; with several, the run is a factor like any other.
        output: directory, made on demand; by default `report` in the run's own directory, or
            `results/report-<UTC time>` for several.

    Raises:
        StreambedError: the runs have no row, or the directory cannot be written.
    """
    data = ReportData.of(runs)
    if not data.rows:
        names = ", ".join(run.name for run in runs)
        raise StreambedError(
            f"{names}: nothing to report, no cell has run yet", hint="./streambed run --resume"
        )
    directory = output or _default_output(runs)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StreambedError(f"{directory}: cannot be made: {error.strerror}") from error
    files: list[Path] = []
    figures: list[PageFigure] = []
    for entry in FIGURES.values():
        drawing = entry.draw(data) if entry.pipeline in data.pipelines else None
        if drawing is not None:
            spec = drawing.chart.to_dict()
            picture = str(vl_convert.vegalite_to_svg(json.dumps(spec)))
            files += _write_figure(directory, entry, drawing, picture)
            figures.append(_page_figure(entry, drawing, spec, picture))
    sentence = headline(data)
    page = directory / PAGE
    write_text(page, render_page(data, sentence, figures))
    return Report(page=page, files=tuple(files), headline=sentence)


def _default_output(runs: Sequence[Run]) -> Path:
    if len(runs) == 1:
        return runs[0].directory / "report"
    stamp = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%SZ")
    return paths.results_dir() / f"report-{stamp}"


def _write_figure(directory: Path, entry: Figure, drawing: Drawing, picture: str) -> list[Path]:
    png, svg, table = (directory / f"{entry.name}.{ending}" for ending in ("png", "svg", "csv"))
    with atomic(png) as temporary:
        temporary.write_bytes(vl_convert.svg_to_png(picture, scale=PNG_SCALE))
    write_text(svg, picture)
    write_text(table, _csv(drawing.table))
    return [png, svg, table]


def _page_figure(entry: Figure, drawing: Drawing, spec: dict[str, Any], picture: str) -> PageFigure:
    return PageFigure(
        name=entry.name,
        title=entry.title,
        caption=drawing.caption,
        alternative=drawing.alternative,
        svg=picture,
        spec=spec,
    )


def _csv(table: list[dict[str, Any]]) -> str:
    names = list(dict.fromkeys(name for row in table for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue()
