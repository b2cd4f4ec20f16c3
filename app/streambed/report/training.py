"""Figures of study D: what was learnt, what more workers give, the engines, where the time goes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import altair as alt

from streambed.report import theme, words
from streambed.report.curves import Guide, curves
from streambed.report.data import ReportData
from streambed.report.figure import Drawing, figure
from streambed.report.statistics import estimate
from streambed.results import epochs
from streambed.results.row import Flat
from streambed.results.speed_up import same

WORKERS, ENGINE, BATCH = "workers", "engine", "batch_size"
EPOCHS, ITERATIONS = "epochs", "iterations"
RATE, TIME, SPEED_UP = "image_rate_per_s", "train_s", "speed_up"

TOP1, LOSS = "top-1 of the test images", "loss of the training images"

PARTS: Mapping[str, str] = {
    "cold_start_s": "start of the application",
    "prepare_s": "preprocessing on Spark",
    "launch_s": "start of the ranks",
    TIME: "updates",
    "evaluate_s": "evaluations",
    "lost_s": "lost with a worker",
}
"""Where the time of a training goes, in its order."""


def of_trainings(data: ReportData) -> list[Flat]:
    """The rows of this pipeline that count: a report may have others beside them."""
    return [row for row in data.ok if ENGINE in row and row.get(TIME) is not None]


def name_of(row: Flat) -> str:
    """A training in words: `chainermn, 4 workers, batch 768, 15 epochs`."""
    count = "1 worker" if row[WORKERS] == 1 else f"{row[WORKERS]} workers"
    parts = [row[ENGINE], count, f"batch {row[BATCH]}", f"{row[EPOCHS]} epochs"]
    if row.get(ITERATIONS) is not None:
        parts[-1] = f"{row[ITERATIONS]:,} updates"
    return ", ".join(parts)


def published_of(data: ReportData, measure: str) -> float | None:
    """What source D printed of a measure, where a run's file has it."""
    entry = _reference(data, measure)
    return None if entry is None else float(entry["value"])


def published_at(data: ReportData, measure: str) -> Mapping[str, Any]:
    """Field → level of the training that it was printed of; empty where no file has it."""
    entry = _reference(data, measure)
    at: Mapping[str, Any] = {} if entry is None else entry["at"]
    return at


def _reference(data: ReportData, measure: str) -> Mapping[str, Any] | None:
    entries = [entry for run in data.runs for entry in run.manifest.references]
    return next((entry for entry in entries if entry["measure"] == measure), None)


def published_rate(data: ReportData) -> float | None:
    """Images/s that source D printed the time of, where the run's file has it."""
    return published_of(data, RATE)


@figure("training-curves", "What was learnt, epoch by epoch", "training")
def learning_curves(data: ReportData) -> Drawing | None:
    """Top-1 and loss over epochs, one panel for each engine and figure."""
    firsts: dict[str, Flat] = {}
    for row in of_trainings(data):
        firsts.setdefault(name_of(row), row)
    table: list[dict[str, Any]] = []
    for (name, row), directory in zip(
        firsts.items(), data.raw_directories(firsts.values()), strict=True
    ):
        table += _curve(name, row, directory)
    if not table:
        return None
    return Drawing(
        chart=_curves_chart(table),
        caption=(
            "Top-1 of the test images after each epoch, and the mean loss of the training images "
            "in it; the first repeat of each training. The loss of spark-mlp is that of an "
            "iteration over all images, and its accuracy is known at the end only."
        ),
        alternative="; ".join(_ends(table)),
        table=table,
    )


def _curve(name: str, row: Flat, directory: Path) -> list[dict[str, Any]]:
    """Its points; none where the raw data were left behind, or there is one epoch only."""
    path = directory / epochs.FILE
    runs = epochs.read(path) if path.exists() else []
    if len(runs) < 2:
        return []
    points = [(run.epoch, TOP1, run.top1) for run in runs if run.top1 is not None]
    points += [(run.epoch, LOSS, run.loss) for run in runs]
    return [
        {
            "training": name,
            "panel": f"{row[ENGINE]}: {what}",
            "epoch": epoch,
            "figure": what,
            "value": value,
        }
        for epoch, what, value in points
    ]


def _ends(table: Sequence[dict[str, Any]]) -> list[str]:
    last = {(entry["training"], entry["figure"]): entry for entry in table}
    return [
        f"{name}: {what} {entry['value']:.4g} after epoch {entry['epoch']}"
        for (name, what), entry in last.items()
    ]


def _curves_chart(table: list[dict[str, Any]]) -> Any:
    names = list(dict.fromkeys(entry["training"] for entry in table))
    panels = list(dict.fromkeys(entry["panel"] for entry in table))
    legend = alt.Legend(title=None, columns=1, labelLimit=400)
    colour = alt.Color("training:N", scale=theme.scale_of(names, theme.PALETTE), legend=legend)
    shape = alt.Shape("training:N", scale=theme.scale_of(names, theme.SHAPES), legend=legend)
    x = alt.X("epoch:Q", title="epoch", axis=alt.Axis(grid=False, tickMinStep=1, format="d"))
    y = alt.Y("value:Q", title=None, scale=alt.Scale(zero=False, nice=True))
    tooltip = [
        alt.Tooltip("training:N"),
        alt.Tooltip("epoch:Q"),
        alt.Tooltip("value:Q", format=".4f"),
    ]
    base: Any = alt.Chart()
    dots = base.mark_point(size=45, strokeWidth=1.6, opacity=1)
    chart: Any = alt.layer(
        base.mark_line().encode(x=x, y=y, color=colour),
        dots.encode(x=x, y=y, color=colour, shape=shape, tooltip=tooltip),
    ).properties(width=theme.PANEL_WIDTH, height=theme.PANEL_HEIGHT)
    chart = chart.facet(
        facet=alt.Facet("panel:N", sort=panels, header=alt.Header(title=None)),
        columns=2,
        data=alt.InlineData(values=table),
    ).resolve_scale(y="independent")
    return theme.apply(chart)


def scaled(data: ReportData) -> ReportData:
    """The trainings that ran on several numbers of workers, and on nothing else that differs."""
    counts: dict[tuple[Any, ...], set[Any]] = {}
    for row in of_trainings(data):
        counts.setdefault(same(row), set()).add(row[WORKERS])
    rows = [row for row in of_trainings(data) if len(counts[same(row)]) > 1]
    return data.view(rows, x=WORKERS, series=ENGINE)


@figure("training-speed-up", "What more workers give", "training")
def speed_up(data: ReportData) -> Drawing | None:
    """Speed-up over workers beside the ideal line, one curve for each engine."""
    seen = scaled(data)
    points = seen.points(SPEED_UP) if seen.x == WORKERS else []
    if len({point.x for point in points}) < 2:
        return None
    fewest, most = min(point.x for point in points), max(point.x for point in points)
    ideal = Guide("ideal", ((float(fewest), 1.0), (float(most), most / fewest)))
    table = words.table(seen, points, SPEED_UP)
    for entry, point in zip(table, points, strict=True):
        entry["parallel_efficiency"] = point.median * fewest / point.x
    batches = sorted({row[BATCH] for row in seen.rows})
    return Drawing(
        chart=curves(seen, points, "speed-up", [ideal]),
        caption=(
            f"Images trained per second over those of the fewest workers, {words.over(seen)}. "
            f"{words.spread(points)} All ranks share a batch of "
            f"{' or '.join(f'{size:,}' for size in batches)} images, however many there are; all "
            "workers have the same quota. Updates only: preprocessing and start are left out."
        ),
        alternative=words.in_words(seen, points, "times"),
        table=table,
    )


@figure("training-engines", "The engines beside the published rate", "training")
def engines(data: ReportData) -> Drawing | None:
    """Images per second of each training, and what one image takes."""
    published = published_rate(data)
    table = []
    for name, rows in _grouped(data).items():
        found = estimate([row[RATE] for row in rows])
        assert found is not None
        entry = {
            "training": name,
            "engine": rows[0][ENGINE],
            "images_per_s": found.median,
            "interval_low": found.low,
            "interval_high": found.high,
            "repeats": found.n,
            "ms_per_image": 1000 / found.median,
            "top1": _median(rows, "top1"),
        }
        if published:
            entry["times_published"] = found.median / published
        table.append(entry)
    if not table:
        return None
    table.sort(key=lambda entry: entry["images_per_s"], reverse=True)
    said = "" if published is None else f" The line is source D's {published:.0f} images/s."
    return Drawing(
        chart=_engines_chart(table, published),
        caption=(
            "Images trained per second of the updates' time; the scale is logarithmic. "
            f"{words.repeats([int(entry['repeats']) for entry in table]).capitalize()}.{said}"
        ),
        alternative="; ".join(
            f"{entry['training']}: {entry['images_per_s']:,.0f} images/s, "
            f"{entry['ms_per_image']:.3g} ms each"
            for entry in table
        ),
        table=table,
    )


def _grouped(data: ReportData) -> dict[str, list[Flat]]:
    groups: dict[str, list[Flat]] = {}
    for row in of_trainings(data):
        if row.get(RATE):
            groups.setdefault(name_of(row), []).append(row)
    return groups


def _median(rows: Sequence[Flat], field: str) -> float | None:
    found = estimate([row[field] for row in rows if row.get(field) is not None])
    return None if found is None else found.median


_BAR_HEIGHT = 24


def _engines_chart(table: list[dict[str, Any]], published: float | None) -> Any:
    names = list(dict.fromkeys(entry["engine"] for entry in table))
    order = [entry["training"] for entry in table]
    x = alt.X(
        "images_per_s:Q",
        title="images trained per second",
        scale=alt.Scale(type="log", nice=True),
    )
    y = alt.Y("training:N", sort=order, title=None, axis=alt.Axis(labelLimit=320))
    colour = alt.Color(
        "engine:N", scale=theme.scale_of(names, theme.PALETTE), legend=alt.Legend(title="engine")
    )
    tooltip = [
        alt.Tooltip("training:N"),
        alt.Tooltip("images_per_s:Q", format=",.0f"),
        alt.Tooltip("ms_per_image:Q", format=".3~g"),
        alt.Tooltip("top1:Q", format=".4f"),
    ]
    base: Any = alt.Chart(alt.InlineData(values=table))
    dots = base.mark_point(size=110, filled=True, opacity=1)
    layers = [dots.encode(x=x, y=y, color=colour, tooltip=tooltip)]
    if published is not None:
        line: Any = alt.Chart(alt.InlineData(values=[{"images_per_s": published}]))
        layers.append(line.mark_rule(strokeDash=[6, 4], color=theme.GREY).encode(x=x))
    chart = alt.layer(*layers).properties(width=theme.WIDTH, height=_BAR_HEIGHT * len(order))
    return theme.apply(chart)


@figure("training-time", "Where the time of a training goes", "training")
def time_parts(data: ReportData) -> Drawing | None:
    """Preprocessing beside starting, training and evaluating, as bars of seconds."""
    table: list[dict[str, Any]] = []
    for name, rows in _grouped(data).items():
        whole = sum(_median(rows, field) or 0.0 for field in PARTS)
        for place, (field, part) in enumerate(PARTS.items()):
            value = _median(rows, field)
            if value:
                table.append(
                    {
                        "training": name,
                        "part": part,
                        "place": place,
                        "seconds": value,
                        "share": value / whole,
                    }
                )
    if not table:
        return None
    shares = [e for e in table if e["part"] == PARTS["prepare_s"]]
    return Drawing(
        chart=_time_chart(table),
        caption=(
            "Medians of the parts that follow each other, from the start of the application to the "
            "last evaluation: one cluster prepares the images and trains on them."
        ),
        alternative="; ".join(
            f"{entry['training']}: preprocessing {entry['seconds']:.3g} s, "
            f"{100 * entry['share']:.1f} % of the time"
            for entry in shares
        ),
        table=table,
    )


def _time_chart(table: list[dict[str, Any]]) -> Any:
    parts = [part for part in PARTS.values() if any(e["part"] == part for e in table)]
    order = list(dict.fromkeys(entry["training"] for entry in table))
    base: Any = alt.Chart(alt.InlineData(values=table))
    legend = alt.Legend(title=None, columns=3)
    chart = base.mark_bar(stroke="white", strokeWidth=0.6).encode(
        x=alt.X("seconds:Q", title="time (s)", stack="zero"),
        y=alt.Y("training:N", sort=order, title=None, axis=alt.Axis(labelLimit=320)),
        color=alt.Color("part:N", scale=theme.scale_of(parts, theme.PALETTE), legend=legend),
        order=alt.Order("place:Q"),
        tooltip=[
            alt.Tooltip("training:N"),
            alt.Tooltip("part:N"),
            alt.Tooltip("seconds:Q", format=".1f"),
            alt.Tooltip("share:Q", format=".1%"),
        ],
    )
    return theme.apply(chart.properties(width=theme.WIDTH, height=_BAR_HEIGHT * len(order)))
