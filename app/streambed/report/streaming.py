"""Figures of pipeline `streaming`: what comes out of the link, and what a micro-batch takes."""

from typing import Any

from streambed.experiment.length import link_images_per_s
from streambed.report.curves import Guide, Published, curves
from streambed.report.data import Point, ReportData
from streambed.report.figure import Drawing, figure
from streambed.report.statistics import LEAST_REPEATS

BANDWIDTH, TRIGGER = "bandwidth_mbit_per_s", "trigger_s"


@figure("image-rate", "Images classified per second", "streaming")
def image_rate(data: ReportData) -> Drawing | None:
    """Image rate over bandwidth, one curve per trigger, with what the link could carry."""
    points = data.points("image_rate_per_s")
    if not points:
        return None
    guides = _link_limit(data)
    limit = ""
    if guides:
        limit = (
            f" The dashed line is what the link could carry uncompressed: TCP goodput over "
            f"{_payload(data)} bytes of image and an 8-byte key."
        )
    return Drawing(
        chart=curves(
            data,
            points,
            "image rate (images/s)",
            guides,
            _published(data, "image_rate_per_s"),
        ),
        caption=f"Images classified per second, {_over(data)}. {_spread(points)}{limit}",
        alternative=_in_words(data, points, "images/s"),
        table=_table(data, points, "image_rate_per_s"),
    )


@figure("micro-batch-time", "Processing time of a micro-batch", "streaming")
def micro_batch_time(data: ReportData) -> Drawing | None:
    """Mean micro-batch time over bandwidth; below the trigger's line the system is real-time."""
    points = data.points("micro_batch_mean_s")
    if not points:
        return None
    return Drawing(
        chart=curves(
            data,
            points,
            "mean micro-batch time (s)",
            _trigger_lines(data, points),
            _published(data, "micro_batch_mean_s"),
        ),
        caption=(
            f"Mean processing time of a micro-batch, queueing excluded, {_over(data)}. "
            f"{_spread(points)} A dashed line is the trigger: a system whose curve stays below "
            "it keeps up with the images in real time."
        ),
        alternative=_in_words(data, points, "s"),
        table=_table(data, points, "micro_batch_mean_s"),
    )


def _over(data: ReportData) -> str:
    if data.x is None:
        return "one cell"
    words = f"over the {data.factor_name(data.x)}"
    return f"{words}, one curve per {data.factor_name(data.series)}" if data.series else words


def _spread(points: list[Point]) -> str:
    least, most = min(p.n for p in points), max(p.n for p in points)
    count = str(most) if least == most else f"{least} to {most}"
    if most < LEAST_REPEATS:
        many = "One repeat" if most == 1 else f"Median of {count} repeats"
        return f"{many}, so no interval is drawn."
    return f"Median of {count} repeats with the 95 % bootstrap interval."


def _payload(data: ReportData) -> int:
    return int(data.rows[0]["payload_bytes"])


def _link_limit(data: ReportData) -> list[Guide]:
    """Through the origin to the fastest link, when all cells have one payload."""
    payloads = {row["payload_bytes"] for row in data.rows}
    if data.x != BANDWIDTH or len(payloads) != 1:
        return []
    most = max(float(row[BANDWIDTH] or 0) for row in data.rows)
    end = (most, link_images_per_s(most, _payload(data)))
    return [Guide("link limit", ((0.0, 0.0), end))]


def _trigger_lines(data: ReportData, points: list[Point]) -> list[Guide]:
    triggers = sorted({float(row[TRIGGER]) for row in data.rows})
    if not data.is_quantitative(data.x) or (data.series != TRIGGER and len(triggers) > 1):
        return []
    most = max(float(point.x) for point in points)
    return [
        Guide(
            f"trigger {trigger:g} s",
            ((0.0, trigger), (most, trigger)),
            trigger if data.series == TRIGGER else None,
        )
        for trigger in triggers
    ]


def _published(data: ReportData, measure: str) -> list[Published]:
    found = {}
    for run in data.runs:
        for entry in run.manifest.references:
            at = entry["at"]
            if entry["measure"] == measure and data.x in at:
                series = at.get(data.series) if data.series else None
                key = (at[data.x], series, entry["source"])
                found[key] = Published(at[data.x], series, entry["value"], entry["source"])
    return list(found.values())


def _in_words(data: ReportData, points: list[Point], unit: str) -> str:
    parts = []
    for point in points:
        at = [data.show(data.x, point.x)] if data.x else []
        if data.series:
            at.append(f"{data.factor_name(data.series)} {data.show(data.series, point.series)}")
        where = ", ".join([*at, *([point.panel] if point.panel else [])])
        parts.append(f"{where}: {point.median:.4g} {unit}")
    return "; ".join(parts)


def _table(data: ReportData, points: list[Point], measure: str) -> list[dict[str, Any]]:
    rows = []
    for point in points:
        row: dict[str, Any] = {}
        if data.x:
            row[data.x] = point.x
        if data.series:
            row[data.series] = point.series
        if data.panels:
            row["panel"] = point.panel
        row |= {f"{measure}_median": point.median, "interval_low": point.low}
        row |= {"interval_high": point.high, "repeats": point.n}
        if measure == "image_rate_per_s" and data.x == BANDWIDTH:
            row["link_limit_images_per_s"] = link_images_per_s(float(point.x), _payload(data))
        rows.append(row)
    return rows
