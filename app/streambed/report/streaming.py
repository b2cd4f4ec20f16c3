"""Figures of pipeline `streaming`: what comes out of the link, and what a micro-batch takes."""

from collections.abc import Sequence

from streambed.experiment.length import link_images_per_s
from streambed.report import words
from streambed.report.curves import Guide, curves
from streambed.report.data import Point, ReportData
from streambed.report.figure import Drawing, figure
from streambed.report.published import Published, published
from streambed.report.study import BANDWIDTH, TRIGGER, has_own_figures

RATE, TIME = "image_rate_per_s", "micro_batch_mean_s"

ROOM_ABOVE = 1.15
"""A line ends this far above what a panel shows, so that it does not flatten the curves."""


@figure("image-rate", "Images classified per second", "streaming")
def image_rate(data: ReportData) -> Drawing | None:
    """For any experiment whose question has no figures of its own."""
    return None if has_own_figures(data) else draw_image_rate(data)


@figure("micro-batch-time", "Processing time of a micro-batch", "streaming")
def micro_batch_time(data: ReportData) -> Drawing | None:
    """For any experiment whose question has no figures of its own."""
    return None if has_own_figures(data) else draw_micro_batch_time(data)


def draw_image_rate(data: ReportData, *, own_scales: bool = False) -> Drawing | None:
    """Image rate over bandwidth, one curve per trigger, with what the link could carry."""
    points = data.points(RATE)
    if not points:
        return None
    values = published(data, RATE)
    guides = _link_limit(data, points, values)
    limit = ""
    if guides:
        limit = (
            f" The dashed line is what the link could carry uncompressed: TCP goodput over "
            f"{_payload(data)} bytes of image and an 8-byte key."
        )
    table = words.table(data, points, RATE, values)
    if data.x == BANDWIDTH:
        for row in table:
            row["link_limit_images_per_s"] = link_images_per_s(row[BANDWIDTH], _payload(data))
    return Drawing(
        chart=curves(data, points, "image rate (images/s)", guides, values, own_scales=own_scales),
        caption=(
            f"Images classified per second, {words.over(data)}. {words.spread(points)}"
            f"{limit}{words.sources(values)}"
        ),
        alternative=words.in_words(data, points, "images/s"),
        table=table,
    )


def draw_micro_batch_time(data: ReportData, *, own_scales: bool = False) -> Drawing | None:
    """Mean micro-batch time over bandwidth; below the trigger's line the system is real-time."""
    points = data.points(TIME)
    if not points:
        return None
    values = published(data, TIME)
    return Drawing(
        chart=curves(
            data,
            points,
            "mean micro-batch time (s)",
            _trigger_lines(data, points),
            values,
            own_scales=own_scales,
        ),
        caption=(
            f"Mean processing time of a micro-batch, queueing excluded, {words.over(data)}. "
            f"{words.spread(points)} A dashed line is the trigger: a system whose curve stays "
            f"below it keeps up with the images in real time.{words.sources(values)}"
        ),
        alternative=words.in_words(data, points, "s"),
        table=words.table(data, points, TIME, values),
    )


def _payload(data: ReportData) -> int:
    return int(data.rows[0]["payload_bytes"])


def _link_limit(
    data: ReportData, points: Sequence[Point], values: Sequence[Published]
) -> list[Guide]:
    """Through the origin to the fastest link, when all cells have one payload."""
    payloads = {row["payload_bytes"] for row in data.rows}
    if data.x != BANDWIDTH or len(payloads) != 1:
        return []
    most = max(float(row[BANDWIDTH] or 0) for row in data.rows)
    per_mbit = link_images_per_s(1, _payload(data))
    guides = []
    for panel in dict.fromkeys(point.panel for point in points):
        heights = [p.high or p.median for p in points if p.panel == panel]
        heights += [v.value for v in values if v.panel == panel]
        end = min(most, ROOM_ABOVE * max(heights) / per_mbit)
        guides.append(Guide("link limit", ((0.0, 0.0), (end, per_mbit * end)), panel=panel))
    return guides


def _trigger_lines(data: ReportData, points: Sequence[Point]) -> list[Guide]:
    triggers = sorted({float(row[TRIGGER]) for row in data.rows})
    if not data.is_quantitative(data.x) or (data.series != TRIGGER and len(triggers) > 1):
        return []
    most = max(float(point.x) for point in points)
    own = data.series == TRIGGER
    below = "" if own else "\nreal time below"
    return [
        Guide(
            f"trigger {trigger:g} s{below}",
            ((0.0, trigger), (most, trigger)),
            series=trigger if own else None,
        )
        for trigger in triggers
    ]
