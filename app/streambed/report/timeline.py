"""When each thread worked on which chunk: the per-thread timelines of study C."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import altair as alt

from streambed.report import theme
from streambed.report.batch import (
    ASSIGNMENT,
    OF_A_NODE,
    PARTITIONS,
    WAIT,
    WORKERS,
    of_the_study,
    work_of,
)
from streambed.report.data import ReportData
from streambed.report.figure import Drawing, figure
from streambed.results import chunks, spread
from streambed.results.row import Flat

OF_THE_STUDY = (9, 40)
"""Partitions of the published timelines, of 3 workers."""

STUDY_WORKERS = 3
THREAD_HEIGHT = 9
"""Pixels."""


@figure("figs-15-18-timeline", "Figs. 15 to 18: what each thread did, by node", "batch")
def by_node(data: ReportData) -> Drawing | None:
    """Coloured by node."""
    return _draw(data, "node")


@figure("fig-19-timeline-partitions", "Fig. 19: what each thread did, by partition", "batch")
def by_partition(data: ReportData) -> Drawing | None:
    """Coloured by partition, whose number stands in each chunk."""
    return _draw(data, "partition")


def chosen(data: ReportData) -> list[Flat]:
    """One result of each cell to show: the published ones, or the nearest that there are.

    The first repeat of each; the longest wait first.
    """
    rows = [row for row in of_the_study(data).ok if row.get("execution_s") is not None]
    if not rows:
        return []
    counts = {row[WORKERS] for row in rows}
    workers = STUDY_WORKERS if STUDY_WORKERS in counts else max(counts)
    rows = [row for row in rows if row[WORKERS] == workers]
    levels = {row[PARTITIONS] for row in rows}
    partitions = [p for p in OF_THE_STUDY if p in levels] or sorted({min(levels), max(levels)})
    waits = sorted({min(row[WAIT] for row in rows), max(row[WAIT] for row in rows)}, reverse=True)
    cells = ((wait, count) for wait in waits for count in partitions)
    first = (next((r for r in rows if (r[WAIT], r[PARTITIONS]) == cell), None) for cell in cells)
    return [row for row in first if row is not None]


def _draw(data: ReportData, colour: str) -> Drawing | None:
    table = []
    shown = chosen(data)
    for row, directory in zip(shown, data.raw_directories(shown), strict=True):
        table += _entries(data, row, directory)
    if not table:
        return None
    axis, caption = work_of(data.view(shown))
    return Drawing(
        chart=_chart(table, colour, axis),
        caption=(
            "Each bar is a chunk on the thread that worked on it, from when the job was "
            f"submitted; {shown[0][WORKERS]} workers, assignment {shown[0][ASSIGNMENT]}, one "
            f"repeat each. Colours tell the {colour}s apart. {OF_A_NODE} Threads are numbered by "
            f"who was free first: Spark does not name them.{caption}"
        ),
        alternative="; ".join(_in_words(table, panel) for panel in _panels(table)),
        table=table,
    )


def _entries(data: ReportData, row: Flat, directory: Path) -> list[dict[str, Any]]:
    """One entry per chunk of a result; none where its raw data were left behind."""
    path = directory / chunks.FILE
    if not path.exists():
        return []
    runs = chunks.read(path)
    threads = spread.threads(runs)
    begin = min(run.start_s for run in runs) - (row.get("lead_s") or 0.0)
    panel = f"{row[PARTITIONS]} partitions, locality wait {data.show(WAIT, row[WAIT])}"
    return [
        {
            "panel": panel,
            "node": run.node,
            "thread": threads[run.chunk] + 1,
            "chunk": run.chunk,
            "partition": run.partition,
            "start_s": run.start_s - begin,
            "end_s": run.end_s - begin,
        }
        for run in runs
    ]


def _panels(table: Sequence[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(entry["panel"] for entry in table))


def _in_words(table: Sequence[dict[str, Any]], panel: str) -> str:
    here = [entry for entry in table if entry["panel"] == panel]
    nodes = sorted({entry["node"] for entry in here})
    counts = ", ".join(f"{node} {sum(e['node'] == node for e in here)}" for node in nodes)
    return f"{panel}: chunks on {counts}; the last ends at {max(e['end_s'] for e in here):.3g} s"


def _chart(table: Sequence[dict[str, Any]], colour: str, axis: str) -> Any:
    values = [{**e, "line": f"{e['node']} {e['thread']:02d}"} for e in table]
    lines = sorted({value["line"] for value in values})
    title = f"time (s){axis}"
    x = alt.X("start_s:Q", title=title, axis=alt.Axis(grid=True))
    y = alt.Y(
        "line:N",
        sort=lines,
        title="thread",
        axis=alt.Axis(labelFontSize=8, labelLimit=90, labelOverlap=False, ticks=False),
    )
    base: Any = alt.Chart().encode(y=y)
    bars = base.mark_bar(height={"band": 0.86}, stroke="white", strokeWidth=0.6).encode(
        x=x,
        x2="end_s:Q",
        color=_colour(values, colour),
        tooltip=[
            *(alt.Tooltip(f"{name}:N") for name in ("node", "thread", "chunk", "partition")),
            alt.Tooltip("start_s:Q", title="from (s)", format=".2f"),
            alt.Tooltip("end_s:Q", title="to (s)", format=".2f"),
        ],
    )
    layers = [bars]
    if colour == "partition":
        middle = base.transform_calculate(middle="(datum.start_s + datum.end_s) / 2")
        text = middle.mark_text(fontSize=7, color="black")
        layers.append(text.encode(x=alt.X("middle:Q", title=title), text="partition:N"))
    chart = (
        alt.layer(*layers)
        .properties(width=theme.PANEL_WIDTH, height=len(lines) * THREAD_HEIGHT)
        .facet(
            facet=alt.Facet("panel:N", sort=_panels(table), header=alt.Header(title=None)),
            columns=2,
            data=alt.InlineData(values=values),
        )
    )
    return theme.apply(chart)


def _colour(values: Sequence[dict[str, Any]], colour: str) -> Any:
    if colour == "node":
        names = sorted({value["node"] for value in values})
        return alt.Color(
            "node:N", scale=theme.scale_of(names, theme.PALETTE), legend=alt.Legend(title="node")
        )
    # Light enough for a number on top; neighbours differ by it, too.
    scale = alt.Scale(scheme="yellowgreenblue", domainMin=-8, domainMax=60)
    return alt.Color("partition:Q", scale=scale, legend=None)
