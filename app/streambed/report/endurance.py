"""Figure of a soak: what processes hold, and how many images wait, over half an hour."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np

from streambed.report import theme
from streambed.report.data import ReportData
from streambed.report.figure import Drawing, figure
from streambed.results import heaps, lag, resources, soak
from streambed.results.resources import NodeUse
from streambed.results.row import Flat
from streambed.results.samples import Batches, Floats, binned_means

GROWTH = "memory_growth_mib_per_h"
"""A row that has it ran long enough for growth to be told."""

_PANELS = {
    "memory_bytes": ("memory (MiB)", 2.0**20),
    "live_heap_bytes": ("alive in JVMs (MiB)", 2.0**20),
    "threads": ("threads", 1.0),
    "fds": ("open files", 1.0),
}
"""Measure → what its panel is called, and the unit in terms of the sampled one."""

_SLOPES = (
    (GROWTH, "memory (MiB)"),
    ("live_heap_growth_mib_per_h", "alive in JVMs (MiB)"),
    ("thread_growth_per_h", "threads"),
    ("fd_growth_per_h", "open files"),
)
_NAMED = 5
"""So many groups, those with the most memory, have a line of their own."""

_REST = "all others together"
_LAG, _WAITING = "lag (images)", "sent, and not classified yet"
_EVERY_S = 15.0

Levels = Mapping[str, Mapping[str, tuple[Floats, Floats]]]
"""Measure → group, with its node → (minutes since the first sample, level), each float64[n]."""


@figure("endurance", "Does anything grow?", "streaming")
def endurance(data: ReportData) -> Drawing | None:
    """Panels over time, for the first cell that ran for long enough."""
    rows = [row for row in data.rows if row.get(GROWTH) is not None]
    for row, directory in zip(rows, data.raw_directories(rows), strict=True):
        if (directory / resources.FILE).exists():
            return _drawing(row, directory)
    return None


def _drawing(row: Flat, directory: Path) -> Drawing:
    nodes = resources.read(directory / resources.FILE)
    began_s = min(float(use.at_s[0]) for use in nodes.values() if use.at_s.size)
    levels = {measure: _levels(nodes, began_s, measure) for measure in resources.LEVELS}
    levels["live_heap_bytes"] = {
        f"{group} ({node})": _means(at_s - began_s, values)
        for (node, group), (at_s, values) in heaps.read(directory / heaps.FILE).items()
    }
    named = _largest(levels["memory_bytes"])
    table = [*_table(levels, named), *_lags(directory, began_s)]
    panels = [*(panel for panel, _ in _PANELS.values()), _LAG]
    slopes = ", ".join(
        f"{what} {row[field]:+.1f}" for field, what in _SLOPES if row.get(field) is not None
    )
    return Drawing(
        chart=_chart(table, panels, [*named, _REST, _WAITING]),
        caption=(
            "What the processes of each node hold, and how many images wait, as means of "
            f"{_EVERY_S:g} s; the {_NAMED} groups with the most memory have a line of their own. "
            "Growth is judged by the slopes over the second half of the measured window, group by "
            f"group ({soak.LEAST_S / 60:g} minutes are the least that is judged); JVMs collect "
            "their garbage each minute from the fifth on. Of the bed as a whole they are, per "
            f"hour: {slopes}."
        ),
        alternative="; ".join(f"{panel}: {', '.join(_ends(table, panel))}" for panel in panels),
        table=table,
    )


def _means(after_s: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Means of `_EVERY_S`: (minutes, values), of samples so many seconds after the first."""
    bins, means = binned_means(after_s, values, _EVERY_S)
    return (bins + 0.5) * _EVERY_S / 60, means


def _levels(
    nodes: Mapping[str, NodeUse], began_s: float, measure: str
) -> dict[str, tuple[Floats, Floats]]:
    """Of every group of every node."""
    return {
        f"{group} ({node})": _means(use.at_s - began_s, values)
        for node, use in nodes.items()
        for group, values in use.levels(measure).items()
    }


def _lags(directory: Path, began_s: float) -> list[dict[str, Any]]:
    """Images that were to be sent and are not classified, at the start of each micro-batch."""
    events = json.loads((directory / "events.json").read_text())
    sent = events["produced"]
    first_s = float(sent["first_send_at"])
    rate_per_s = sent["sent"] / (float(sent["last_send_at"]) - first_s)
    batches = Batches.of_events(b for b in events["batches"] if b["started_at"] >= first_s)
    during = batches.started_at_s <= float(sent["last_send_at"])
    waiting = lag.lag_at_starts(batches, first_s, rate_per_s)[during]
    minutes, means = _means(batches.started_at_s[during] - began_s, waiting)
    pairs = zip(minutes.tolist(), means.tolist(), strict=True)
    return [_point(_LAG, _WAITING, minute, value) for minute, value in pairs]


def _largest(memory: Mapping[str, tuple[Floats, Floats]]) -> list[str]:
    return sorted(memory, key=lambda group: -float(np.mean(memory[group][1])))[:_NAMED]


def _table(levels: Levels, named: Sequence[str]) -> list[dict[str, Any]]:
    """A point for each time and line; what has no line of its own is added up."""
    table = []
    for measure, (panel, unit) in _PANELS.items():
        rest: dict[float, float] = {}
        for group, (minutes, values) in levels[measure].items():
            for minute, value in zip(minutes.tolist(), (values / unit).tolist(), strict=True):
                if group in named:
                    table.append(_point(panel, group, minute, value))
                else:
                    rest[minute] = rest.get(minute, 0.0) + value
        table += [_point(panel, _REST, minute, rest[minute]) for minute in sorted(rest)]
    return table


def _point(panel: str, group: str, minute: float, value: float) -> dict[str, Any]:
    return {"panel": panel, "group": group, "minute": minute, "value": value}


def _ends(table: Sequence[Mapping[str, Any]], panel: str) -> list[str]:
    """First and last value of each line."""
    lines: dict[str, list[float]] = {}
    for entry in table:
        if entry["panel"] == panel:
            lines.setdefault(entry["group"], []).append(entry["value"])
    return [f"{group} {values[0]:.0f} to {values[-1]:.0f}" for group, values in lines.items()]


def _chart(table: list[dict[str, Any]], panels: list[str], groups: list[str]) -> Any:
    legend = alt.Legend(title=None, columns=2, labelLimit=400)
    colour = alt.Color("group:N", scale=theme.scale_of(groups, theme.PALETTE), legend=legend)
    axis = alt.Axis(grid=False, format="d")
    tooltip = [alt.Tooltip("group:N"), alt.Tooltip("minute:Q", format=".1f"), "value:Q"]
    chart = (
        alt.Chart()
        .mark_line()
        .encode(
            x=alt.X("minute:Q", title="time (min)", axis=axis),
            y=alt.Y("value:Q", title=None),
            color=colour,
            tooltip=tooltip,
        )
        .properties(width=theme.PANEL_WIDTH, height=theme.PANEL_HEIGHT)
        .facet(
            facet=alt.Facet(
                "panel:N",
                sort=panels,
                header=alt.Header(title=None),
            ),
            columns=2,
            data=alt.InlineData(values=table),
        )
        .resolve_scale(y="independent")
    )
    return theme.apply(chart)
