"""A comparison for a terminal of 80 columns, and as JSON."""

import json
from collections.abc import Sequence
from statistics import median
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from streambed.report.compare import COMPARED, CellRatio, Comparison
from streambed.report.manifest_diff import Difference, by_group

_MOST = 20
"""Lines of one group; `--json` has them all."""

_WIDTH = 24
"""Characters of a value before it is cut: hashes and paths need not be read whole."""


def to_data(comparison: Comparison) -> dict[str, Any]:
    """The comparison as JSON-ready data."""
    return {
        "first": comparison.first.name,
        "second": comparison.second.name,
        "headline": comparison.headline(),
        "differences": [
            {
                "group": str(entry.group),
                "name": entry.name,
                "nodes": list(entry.nodes),
                "first": entry.first,
                "second": entry.second,
            }
            for entry in comparison.differences
        ],
        "ratios": [
            {
                "cell": entry.label,
                "measure": entry.measure,
                "ratio": entry.ratio.median,
                "interval_low": entry.ratio.low,
                "interval_high": entry.ratio.high,
                "repeats": entry.ratio.n,
                "differs": entry.differs,
            }
            for entry in comparison.ratios
        ],
        "limits": [
            {"cell": entry.label, "first": entry.first, "second": entry.second}
            for entry in comparison.limits
        ],
        "only_first": list(comparison.only[0]),
        "only_second": list(comparison.only[1]),
    }


def to_json(comparison: Comparison) -> str:
    """The comparison as one JSON object."""
    return json.dumps(to_data(comparison), indent=2, allow_nan=False)


def render(comparison: Comparison) -> RenderableType:
    """The comparison for a terminal: the answer first, then what it stands on."""
    parts: list[RenderableType] = [
        Text(f"first   {comparison.first.name}"),
        Text(f"second  {comparison.second.name}"),
        Text(comparison.headline(), style="bold"),
    ]
    for group, entries in by_group(comparison.differences).items():
        parts += ["", _differences(str(group), entries)]
    if comparison.ratios:
        parts += ["", _measures(comparison)]
        parts += ["", _cells(comparison)]
    for run, labels in zip((comparison.first, comparison.second), comparison.only, strict=True):
        if labels:
            parts += ["", Text(f"Only in {run.name}: {'; '.join(labels)}")]
    return Group(*parts)


def _differences(group: str, entries: Sequence[Difference]) -> Table:
    table = _table(f"What differs: {group}", "", "first", "second")
    for entry in entries[:_MOST]:
        where = f" ({', '.join(entry.nodes)})" if entry.nodes else ""
        table.add_row(Text(entry.name + where), _short(entry.first), _short(entry.second))
    if len(entries) > _MOST:
        table.add_row(Text(f"and {len(entries) - _MOST} more: --json"))
    return table


def _measures(comparison: Comparison) -> Table:
    """One line per measure: the middle of the cells' ratios, their range, how many differ."""
    table = _table("Second over first, over the cells", "measure", "middle", "lowest", "highest")
    table.add_column("differ", justify="right")
    for measure in COMPARED:
        found = comparison.of(measure)
        if found:
            values = [entry.ratio.median for entry in found]
            figures = (f"{value:.3f}" for value in (median(values), min(values), max(values)))
            count = f"{sum(entry.differs for entry in found)} of {len(found)}"
            table.add_row(measure, *figures, count)
    return table


def _cells(comparison: Comparison) -> Table:
    """One line per cell: the image rate's ratio with its interval, and what limited."""
    table = _table("Image rate by cell, second over first", "cell", "ratio", "95 % interval")
    if comparison.limits:
        table.add_column("limits", overflow="fold")
    limits = {entry.label: entry for entry in comparison.limits}
    for entry in comparison.of(comparison.rate):
        style = "yellow" if entry.differs else ""
        row = [Text(entry.label), Text(f"{entry.ratio.median:.3f}", style), _interval(entry)]
        if entry.label in limits:
            was, now = limits[entry.label].first, limits[entry.label].second
            row.append(Text(was if was == now else f"{was} → {now}"))
        table.add_row(*row)
    return table


def _interval(entry: CellRatio) -> Text:
    low, high = entry.ratio.low, entry.ratio.high
    if low is None or high is None:
        return Text(f"– ({entry.ratio.n} repeats)" if entry.ratio.n > 1 else "– (1 repeat)")
    return Text(f"{low:.3f} to {high:.3f}")


def _table(title: str, *headings: str) -> Table:
    table = Table(box=None, title=title, title_justify="left", title_style="italic", pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def _short(value: Any) -> Text:
    text = "–" if value is None else value if isinstance(value, str) else json.dumps(value)
    return Text(text if len(text) <= _WIDTH else f"{text[: _WIDTH - 3]}...")
