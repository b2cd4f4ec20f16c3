"""Why does mine differ? What differs between two runs' manifests, and the ratios of figures."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from streambed.experiment.factors import PIPELINES, by_field
from streambed.report.statistics import Estimate, ratio
from streambed.results.manifest import Manifest, differences
from streambed.results.row import Flat
from streambed.results.run import Run

COMPARED = (
    "image_rate_per_s",
    "makespan_image_rate_per_s",
    "link_utilisation",
    "goodput_up_mbit_per_s",
    "goodput_down_mbit_per_s",
    "micro_batch_mean_s",
    "micro_batch_p95_s",
    "accuracy",
    "cold_start_s",
)
"""Figures whose ratio means something."""

# Differ between any two runs, and explain nothing.
_ALWAYS = ("created_at", "finished_at", "resumed_at", "order", "cells", "text", "file")


@dataclass(frozen=True)
class CellRatio:
    """One measure in the cells that both runs have: second run over first."""

    label: str
    measure: str
    ratio: Estimate


@dataclass(frozen=True)
class Comparison:
    """The first run, the second, and what lies between them."""

    first: Run
    second: Run
    facts: Mapping[str, tuple[Any, Any]]
    """Dotted name of a manifest entry → (first, second)."""
    ratios: tuple[CellRatio, ...]
    only: tuple[tuple[str, ...], tuple[str, ...]]
    """Labels of cells with a result in the first run only, and in the second only."""


def compare(first: Run, second: Run) -> Comparison:
    """Compare two runs; their cells are matched by the levels of all varied factors."""
    fields = tuple(dict.fromkeys([*first.manifest.factors, *second.manifest.factors]))
    left, right = _cells(first, fields), _cells(second, fields)
    ratios = []
    for key, rows in left.items():
        for measure in COMPARED:
            found = ratio(_values(right.get(key, []), measure), _values(rows, measure))
            if found is not None:
                ratios.append(CellRatio(_label(first.manifest, fields, key), measure, found))
    return Comparison(
        first=first,
        second=second,
        facts=_facts(first.manifest, second.manifest),
        ratios=tuple(ratios),
        only=(
            tuple(_label(first.manifest, fields, key) for key in left if key not in right),
            tuple(_label(second.manifest, fields, key) for key in right if key not in left),
        ),
    )


def _cells(run: Run, fields: Sequence[str]) -> dict[tuple[Any, ...], list[Flat]]:
    cells: dict[tuple[Any, ...], list[Flat]] = {}
    for row in run.rows():
        if row["status"] == "ok":
            cells.setdefault(tuple(row.get(field) for field in fields), []).append(row)
    order = {cell.id: index for index, cell in enumerate(run.manifest.cells)}
    return dict(sorted(cells.items(), key=lambda entry: order[entry[1][0]["cell"]]))


def _values(rows: Sequence[Flat], measure: str) -> list[float]:
    return [float(row[measure]) for row in rows if row.get(measure) is not None]


def _label(manifest: Manifest, fields: Sequence[str], key: tuple[Any, ...]) -> str:
    factors = by_field(manifest.pipeline) if manifest.pipeline in PIPELINES else {}
    shown = [
        factors[field].show(value) if field in factors else str(value)
        for field, value in zip(fields, key, strict=True)
    ]
    return ", ".join(shown) or manifest.experiment


def _facts(first: Manifest, second: Manifest) -> dict[str, tuple[Any, Any]]:
    found = differences(
        first.model_dump(mode="json", exclude=set(_ALWAYS)),
        second.model_dump(mode="json", exclude=set(_ALWAYS)),
    )
    # Fixed values are in every cell; those that differ are told once.
    left, right = first.cells[0].effective, second.cells[0].effective
    varied = {f"config.{field}" for field in (*first.factors, *second.factors)}
    fixed = differences(left, right)
    return {
        **{f"cell.{name}": pair for name, pair in fixed.items() if name not in varied},
        **found,
    }


def to_data(comparison: Comparison) -> dict[str, Any]:
    """The comparison as JSON-ready data."""
    return {
        "first": comparison.first.name,
        "second": comparison.second.name,
        "manifest": {
            name: {"first": before, "second": after}
            for name, (before, after) in comparison.facts.items()
        },
        "ratios": [
            {
                "cell": entry.label,
                "measure": entry.measure,
                "ratio": entry.ratio.median,
                "interval_low": entry.ratio.low,
                "interval_high": entry.ratio.high,
                "repeats": entry.ratio.n,
            }
            for entry in comparison.ratios
        ],
        "only_first": list(comparison.only[0]),
        "only_second": list(comparison.only[1]),
    }


def to_json(comparison: Comparison) -> str:
    """The comparison as one JSON object."""
    return json.dumps(to_data(comparison), indent=2, allow_nan=False)


def render(comparison: Comparison) -> RenderableType:
    """The comparison for a terminal: ratios are second run over first."""
    facts = Table(box=None, title="What differs", title_justify="left")
    for heading in ("", comparison.first.name, comparison.second.name):
        facts.add_column(heading, overflow="fold")
    for name, (before, after) in comparison.facts.items():
        facts.add_row(Text(name), Text(_short(before)), Text(_short(after)))
    ratios = Table(box=None, title="Ratio, second over first", title_justify="left")
    for heading in ("cell", "measure"):
        ratios.add_column(heading)
    for heading in ("ratio", "95 % interval", "repeats"):
        ratios.add_column(heading, justify="right")
    for entry in comparison.ratios:
        found = entry.ratio
        interval = "–" if found.low is None else f"{found.low:.3f} to {found.high:.3f}"
        ratios.add_row(entry.label, entry.measure, f"{found.median:.3f}", interval, str(found.n))
    parts: list[RenderableType] = [
        facts if comparison.facts else Text("The manifests say the same."),
        "",
        ratios if comparison.ratios else Text("No cell has a result in both runs."),
    ]
    for run, labels in zip((comparison.first, comparison.second), comparison.only, strict=True):
        if labels:
            parts.append(Text(f"Only in {run.name}: {'; '.join(labels)}"))
    return Group(*parts)


def _short(value: Any) -> str:
    text = "–" if value is None else value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
