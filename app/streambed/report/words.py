"""What captions, descriptions and tables of figures have in common."""

from collections.abc import Iterable, Sequence
from typing import Any

from streambed.report.data import Point, ReportData
from streambed.report.published import Published
from streambed.report.statistics import LEAST_REPEATS


def over(data: ReportData) -> str:
    """What the axis and the curves are: `over the bandwidth, one curve per trigger`."""
    if data.x is None:
        return "one cell"
    words = f"over the {data.factor_name(data.x)}"
    return f"{words}, one curve per {data.factor_name(data.series)}" if data.series else words


def repeats(counts: Sequence[int]) -> str:
    """`one repeat`, or `median of 3 to 5 repeats`."""
    least, most = min(counts), max(counts)
    if most == 1:
        return "one repeat"
    return f"median of {most if least == most else f'{least} to {most}'} repeats"


def clocks(uncertainties_s: Iterable[float | None]) -> str:
    """What the clocks at both ends of latencies add, after a semicolon; nothing where unknown."""
    known = [uncertainty_s for uncertainty_s in uncertainties_s if uncertainty_s is not None]
    if not known:
        return ""
    if max(known) == 0:
        return "; all nodes have one clock"
    return f"; the clocks at its ends differ by {1000 * max(known):.3g} ms at most"


def spread(points: Sequence[Point]) -> str:
    """How many repeats a point stands for, and what its bar is."""
    counts = [point.n for point in points]
    said = repeats(counts).capitalize()
    if max(counts) < LEAST_REPEATS:
        return f"{said}, so no interval is drawn."
    return f"{said} with the 95 % bootstrap interval."


def sources(values: Iterable[Published]) -> str:
    """Where the grey crosses are from; empty when there are none."""
    names = ", ".join(dict.fromkeys(value.source for value in values))
    return f" Grey crosses are published values: {names}." if names else ""


def in_words(data: ReportData, points: Sequence[Point], unit: str) -> str:
    """Every point in words, for those who cannot see the figure."""
    parts = []
    for point in points:
        at = [data.show(data.x, point.x)] if data.x else []
        if data.series:
            at.append(f"{data.factor_name(data.series)} {data.show(data.series, point.series)}")
        where = ", ".join([*at, *([point.panel] if point.panel else [])])
        parts.append(f"{where}: {point.median:.4g} {unit}".strip())
    return "; ".join(parts)


def table(
    data: ReportData,
    points: Sequence[Point],
    measure: str,
    values: Sequence[Published] = (),
) -> list[dict[str, Any]]:
    """One mapping per point: its levels, median, interval, repeats, and what was published."""
    rows = []
    for point in points:
        row: dict[str, Any] = {}
        if data.x:
            row[data.x] = point.x
        if data.series:
            row[data.series] = point.series
        row |= data.panel_levels.get(point.panel, {})
        row |= {f"{measure}_median": point.median, "interval_low": point.low}
        row |= {"interval_high": point.high, "repeats": point.n}
        if values:
            row["published"] = next((v.value for v in values if _same_place(v, point)), None)
        rows.append(row)
    return rows


def _same_place(value: Published, point: Point) -> bool:
    here = (value.x, value.panel) == (point.x, point.panel)
    return here and value.series in (None, point.series)
