"""Latency of an image, intended send to result append, in open mode: a line per cell.

What a row holds are percentiles, of which the median over repeats is drawn. Percentiles cannot be
pooled, histograms can: beside each stands the percentile over the images of all repeats, where the
raw data are there.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import altair as alt

from streambed.report import theme, words
from streambed.report.data import ReportData
from streambed.report.figure import Drawing, figure
from streambed.report.statistics import estimate
from streambed.results import histogram
from streambed.results.row import Flat

PERCENTILES = {
    "latency_p50_s": "p50",
    "latency_p95_s": "p95",
    "latency_p99_s": "p99",
    "latency_max_s": "max",
}
"""Measure → its short name, from the left to the right of a line."""

PARTS = {
    "latency_link_p50_s": "link and broker",
    "latency_batch_wait_p50_s": "waiting for the batch",
    "latency_compute_p50_s": "compute",
    "latency_sink_p50_s": "sink",
}
"""Measure → what an image waits for, in the order in which it does."""

LINE_HEIGHT = 26
"""Of a cell, in pixels."""


@figure("latency", "Latency of an image", "streaming")
def latency(data: ReportData) -> Drawing | None:
    """Percentiles of each cell, median over repeats."""
    table = _table(data, PERCENTILES, "percentile")
    if not table:
        return None
    pooled = {
        (cell, PERCENTILES[f"latency_{name}"]): value
        for cell, rows in _cells(data).items()
        for name, value in _pooled(data, rows).items()
    }
    for entry in table:
        entry["pooled_s"] = pooled.get((entry["cell"], entry["percentile"]))
    names = list(PERCENTILES.values())
    y = _cell_axis(table)
    base = alt.Chart(alt.InlineData(values=table))
    spans = base.mark_line(color=theme.GREY, strokeWidth=1).encode(
        x=alt.X("latency_s:Q", title="latency (s)", scale=alt.Scale(zero=True)),
        y=y,
        detail="cell:N",
    )
    dots = base.mark_point(size=70, strokeWidth=2, opacity=1).encode(
        x="latency_s:Q",
        y=y,
        color=alt.Color(
            "percentile:N",
            scale=theme.scale_of(names, theme.PALETTE),
            legend=alt.Legend(title="percentile"),
        ),
        shape=alt.Shape("percentile:N", scale=theme.scale_of(names, theme.SHAPES)),
        tooltip=[
            alt.Tooltip("cell:N"),
            alt.Tooltip("percentile:N"),
            alt.Tooltip("latency_s:Q", title="latency (s)", format=".3f"),
            alt.Tooltip("pooled_s:Q", title="over all repeats (s)", format=".3f"),
            alt.Tooltip("repeats:Q"),
        ],
    )
    return _drawing(
        alt.layer(spans, dots),
        table,
        "percentile",
        "Latency from the intended send of an image to the append of its result, in open mode: "
        f"percentiles over the images of a cell{_clocks(table)}",
    )


@figure("latency-parts", "What an image waits for", "streaming")
def latency_parts(data: ReportData) -> Drawing | None:
    """Median of each part of the latency, one after the other."""
    table = _table(data, PARTS, "part")
    if not table:
        return None
    names = list(PARTS.values())
    values = [{**entry, "order": names.index(entry["part"])} for entry in table]
    bars = alt.Chart(alt.InlineData(values=values)).mark_bar(height={"band": 0.7})
    chart = bars.encode(
        x=alt.X("latency_s:Q", title="latency (s)", stack="zero"),
        y=_cell_axis(table),
        color=alt.Color(
            "part:N",
            scale=theme.scale_of(names, theme.PALETTE),
            legend=alt.Legend(title="part", columns=2),
        ),
        order="order:Q",
        tooltip=[
            alt.Tooltip("cell:N"),
            alt.Tooltip("part:N"),
            alt.Tooltip("latency_s:Q", title="latency (s)", format=".3f"),
            alt.Tooltip("repeats:Q"),
        ],
    )
    return _drawing(
        chart,
        table,
        "part",
        "What the latency consists of: the median of each part over a sample of the images (they "
        f"need not add up to the median of the whole){_clocks(table)}",
    )


def _drawing(chart: Any, table: list[dict[str, Any]], kind: str, caption: str) -> Drawing:
    lines = len({entry["cell"] for entry in table})
    sized = chart.properties(width=theme.WIDTH, height=max(2, lines) * LINE_HEIGHT)
    return Drawing(
        chart=theme.apply(sized),
        caption=f"{caption}; {words.repeats([entry['repeats'] for entry in table])}.",
        alternative="; ".join(
            f"{entry['cell']}, {entry[kind]}: {entry['latency_s']:.3g} s" for entry in table
        ),
        table=table,
    )


def _clocks(table: list[dict[str, Any]]) -> str:
    return words.clocks(entry["clock_uncertainty_s"] for entry in table)


def _cell_axis(table: list[dict[str, Any]]) -> Any:
    order = list(dict.fromkeys(entry["cell"] for entry in table))
    return alt.Y("cell:N", sort=order, title=None, axis=alt.Axis(labelLimit=260))


def _pooled(data: ReportData, rows: list[Flat]) -> dict[str, float]:
    """Percentiles over the images of all these rows; empty without their raw data."""
    found = histogram.percentiles(histogram.merged(data.raw_directories(rows)))
    return {} if found is None else asdict(found)


def _cells(data: ReportData) -> dict[str, list[Flat]]:
    """The rows of each cell, by the levels that tell it apart."""
    cells: dict[str, list[Flat]] = {}
    for row in data.ok:
        levels = [f"{data.factor_name(f)} {data.show(f, row.get(f))}" for f in data.varied]
        cells.setdefault(", ".join(levels) or row["cell"], []).append(row)
    return cells


def _table(data: ReportData, measures: Mapping[str, str], kind: str) -> list[dict[str, Any]]:
    """One entry per cell and measure that has a value."""
    entries = []
    for cell, rows in _cells(data).items():
        told = [row.get("clock_uncertainty_s") for row in rows]
        clocks = [uncertainty_s for uncertainty_s in told if uncertainty_s is not None]
        for measure, name in measures.items():
            found = estimate([row[measure] for row in rows if row.get(measure) is not None])
            if found is not None:
                entries.append(
                    {
                        "cell": cell,
                        kind: name,
                        "latency_s": found.median,
                        "interval_low": found.low,
                        "interval_high": found.high,
                        "repeats": found.n,
                        "clock_uncertainty_s": max(clocks, default=None),
                    }
                )
    return entries
