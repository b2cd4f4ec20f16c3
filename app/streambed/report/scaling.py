"""What more workers give: image rate, micro-batches and latency against their number."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from streambed.report import theme, words
from streambed.report.curves import Guide, curves
from streambed.report.data import Point, ReportData
from streambed.report.figure import Drawing, figure
from streambed.report.study import TRIGGER, WORKERS, varies_workers
from streambed.results.row import Flat

RATE, TIME = "image_rate_per_s", "micro_batch_mean_s"
OFFERED = "offered_rate_images_per_s"

LATENCIES = {"latency_p50_s": "p50", "latency_p95_s": "p95", "latency_p99_s": "p99"}

SHARES = {
    "workers_cpu_share": "workers",
    "master_cpu_share": "master and driver",
    "broker_cpu_share": "broker",
    "client_cpu_share": "client",
}
"""Measure → the nodes it is of."""


@figure("workers-image-rate", "Image rate against workers", "streaming")
def image_rate(data: ReportData) -> Drawing | None:
    """Image rate over the number of workers, with the ideal line of each curve."""
    seen = _as_fast_as_it_goes(data)
    points = seen.points(RATE) if seen else []
    if not seen or not points:
        return None
    ideal = _ideal(points)
    table = words.table(seen, points, RATE)
    for row, point in zip(table, points, strict=True):
        row["ideal_images_per_s"] = ideal[_curve(point)] * point.x
        row["efficiency"] = point.median / row["ideal_images_per_s"]
    return Drawing(
        chart=curves(seen, points, "image rate (images/s)", _ideal_lines(seen, points)),
        caption=(
            f"Images classified per second, {words.over(seen)}; more arrive than are classified. "
            f"{words.spread(points)} The dashed line is ideal: the rate of the fewest workers, "
            f"times workers. {speed_up(data)}{_limits(seen)}"
        ),
        alternative=words.in_words(seen, points, "images/s"),
        table=table,
    )


@figure("workers-cpu", "How busy each part is", "streaming")
def cpu(data: ReportData) -> Drawing | None:
    """CPU time over the quota of client, broker, master and workers: who has headroom."""
    seen = _as_fast_as_it_goes(data)
    if not seen:
        return None
    return _several(
        seen,
        SHARES,
        "CPU time / quota",
        "CPU time in the measured window over the quota of each part's nodes, "
        "where more images arrive than are classified: what is below 1 has headroom.",
    )


@figure("workers-micro-batch-time", "Processing time of a micro-batch against workers", "streaming")
def micro_batch_time(data: ReportData) -> Drawing | None:
    """Mean time of a micro-batch at a constant rate, with the trigger to stay below."""
    seen = _at_a_constant_rate(data)
    points = seen.points(TIME) if seen else []
    if not seen or not points:
        return None
    triggers = sorted({float(row[TRIGGER]) for row in seen.rows})
    most = max(float(point.x) for point in points)
    lines = [Guide(f"trigger {t:g} s\nreal time below", ((0.0, t), (most, t))) for t in triggers]
    return Drawing(
        chart=curves(seen, points, "mean micro-batch time (s)", lines if len(lines) == 1 else []),
        caption=(
            "Mean processing time of a micro-batch, at a rate that does not depend on the "
            f"workers, {words.over(seen)}. {words.spread(points)} What stays with many workers is "
            "the fixed cost of a micro-batch."
        ),
        alternative=words.in_words(seen, points, "s"),
        table=words.table(seen, points, TIME),
    )


@figure("workers-latency", "Latency against workers", "streaming")
def latency(data: ReportData) -> Drawing | None:
    """Percentiles of the latency at a constant rate."""
    seen = _at_a_constant_rate(data)
    if not seen:
        return None
    return _several(
        seen,
        LATENCIES,
        "latency (s)",
        "Latency from the intended send of an image to the append of its result, at a rate that "
        "does not depend on the workers.",
    )


def speed_up(data: ReportData) -> str:
    """How many times the rate of the fewest workers comes out, in a sentence; or nothing."""
    seen = _as_fast_as_it_goes(data)
    points = seen.points(RATE) if seen else []
    ideal = _ideal(points)
    said = []
    for curve in dict.fromkeys(map(_curve, points)):
        own = sorted((p for p in points if _curve(p) == curve), key=lambda p: float(p.x))
        first = own[0]
        said += [
            f"{_workers(p.x)} classify {p.median / first.median:.2f} times the images of "
            f"{_workers(first.x)} (efficiency {p.median / (ideal[curve] * p.x):.2f})"
            for p in own[1:]
        ]
    return "; ".join(said) + ". " if said else ""


def _as_fast_as_it_goes(data: ReportData) -> ReportData | None:
    """The rows of streams in which nobody set the rate."""
    return _view(data, [row for row in data.rows if row.get(OFFERED, 0) is None])


def _at_a_constant_rate(data: ReportData) -> ReportData | None:
    return _view(data, [row for row in data.rows if row.get(OFFERED) is not None])


def _view(data: ReportData, rows: Sequence[Flat]) -> ReportData | None:
    if not varies_workers(data):
        return None
    seen = data.view(rows, x=WORKERS)
    return seen if seen.x == WORKERS else None


Curve = tuple[Any, str]


def _curve(point: Point) -> Curve:
    return point.series, point.panel


def _ideal(points: Sequence[Point]) -> dict[Curve, float]:
    """Curve → images/s of one worker, by the fewest workers of that curve."""
    fewest: dict[Curve, Point] = {}
    for point in points:
        known = fewest.setdefault(_curve(point), point)
        if point.x < known.x:
            fewest[_curve(point)] = point
    return {curve: point.median / point.x for curve, point in fewest.items()}


def _ideal_lines(seen: ReportData, points: Sequence[Point]) -> list[Guide]:
    most = max(float(point.x) for point in points)
    return [
        Guide(
            "ideal",
            ((0.0, 0.0), (most, per_worker * most)),
            series=series if seen.series else None,
            panel=panel,
        )
        for (series, panel), per_worker in _ideal(points).items()
    ]


def _limits(seen: ReportData) -> str:
    """What was in use to its limit, by the row in the middle at each number of workers."""
    said = []
    for count in sorted({row[WORKERS] for row in seen.ok}):
        rows = [row for row in seen.ok if row[WORKERS] == count and row.get("bottleneck")]
        if rows:
            middle = sorted(rows, key=lambda row: row.get(RATE) or 0)[len(rows) // 2]
            said.append(f"{_workers(count)}: {middle['bottleneck']}")
    return f"What limits: {'; '.join(said)}." if said else ""


def _workers(count: Any) -> str:
    return "1 worker" if count == 1 else f"{count} workers"


def _several(
    seen: ReportData, measures: Mapping[str, str], title: str, caption: str
) -> Drawing | None:
    """Several measures of the same rows as curves over the workers, medians over repeats."""
    values = [
        {
            "workers": point.x,
            "of": name,
            "value": point.median,
            "panel": _panel(seen, point),
            "interval_low": point.low,
            "interval_high": point.high,
            "repeats": point.n,
        }
        for measure, name in measures.items()
        for point in seen.points(measure)
    ]
    if not values:
        return None
    names = [name for name in measures.values() if any(v["of"] == name for v in values)]
    levels = sorted({value["workers"] for value in values})
    x = alt.X(
        "workers:Q",
        title="workers",
        scale=alt.Scale(domain=[0, max(levels)], nice=False),
        axis=alt.Axis(grid=False, values=[0, *levels]),
    )
    y = alt.Y("value:Q", title=title, scale=alt.Scale(zero=True, nice=True))
    legend = alt.Legend(title=None, columns=2)
    colour = alt.Color("of:N", scale=theme.scale_of(names, theme.PALETTE), legend=legend)
    tooltip = [
        alt.Tooltip("of:N"),
        alt.Tooltip("workers:Q"),
        alt.Tooltip("value:Q", title=title, format=".3~g"),
        alt.Tooltip("repeats:Q"),
    ]
    base = alt.Chart()
    shape = alt.Shape("of:N", scale=theme.scale_of(names, theme.SHAPES), legend=legend)
    dots = base.mark_point(size=70, strokeWidth=2, opacity=1)
    chart: Any = alt.layer(
        base.mark_line().encode(x=x, y=y, color=colour),
        dots.encode(x=x, y=y, color=colour, shape=shape, tooltip=tooltip),
    )
    panels = list(dict.fromkeys(value["panel"] for value in values))
    if len(panels) > 1:
        chart = chart.properties(width=theme.PANEL_WIDTH, height=theme.PANEL_HEIGHT).facet(
            facet=alt.Facet("panel:N", sort=panels, header=alt.Header(title=None)),
            columns=2,
            data=alt.InlineData(values=values),
        )
    else:
        chart = chart.properties(
            width=theme.WIDTH, height=theme.HEIGHT, data=alt.InlineData(values=values)
        )
    counts = [int(value["repeats"]) for value in values]
    return Drawing(
        chart=theme.apply(chart),
        caption=f"{caption} {words.repeats(counts).capitalize()}.",
        alternative="; ".join(
            f"{_workers(v['workers'])}, {v['of']}{', ' if v['panel'] else ''}{v['panel']}: "
            f"{v['value']:.3g}"
            for v in values
        ),
        table=values,
    )


def _panel(seen: ReportData, point: Point) -> str:
    """Everything but the workers that tells a point apart."""
    parts = [point.panel] if point.panel else []
    if seen.series:
        parts.insert(0, f"{seen.factor_name(seen.series)} {seen.show(seen.series, point.series)}")
    return ", ".join(parts)
