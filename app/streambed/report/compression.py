"""What compression gains: image rate over what the link could carry uncompressed."""

from streambed.experiment.length import link_images_per_s
from streambed.report import words
from streambed.report.curves import Guide, curves
from streambed.report.data import ReportData
from streambed.report.figure import Drawing, figure
from streambed.report.study import BANDWIDTH
from streambed.results.row import Flat

CODEC = "compression"
GAIN = "gain_over_uncompressed_limit"


@figure("compression", "What compression gains", "streaming")
def compression(data: ReportData) -> Drawing | None:
    """Factor over the uncompressed limit against bandwidth, one curve per codec."""
    if CODEC not in data.varied or BANDWIDTH not in data.varied:
        return None
    seen = data.view(data.rows, series=CODEC)
    points = seen.points(gain)
    if not points:
        return None
    most = max(float(point.x) for point in points)
    limit = Guide("uncompressed limit", ((0.0, 1.0), (most, 1.0)))
    return Drawing(
        chart=curves(seen, points, "image rate / uncompressed limit", [limit]),
        caption=(
            "Image rate as a multiple of what the link could carry uncompressed (TCP goodput over "
            f"one image and an 8-byte key), {words.over(seen)}. {words.spread(points)}"
        ),
        alternative=words.in_words(seen, points, "times the uncompressed limit"),
        table=words.table(seen, points, GAIN),
    )


def gain(row: Flat) -> float | None:
    """Image rate / link_images_per_s(bandwidth, payload), dimensionless."""
    rate, bandwidth = row.get("image_rate_per_s"), row.get(BANDWIDTH)
    if rate is None or bandwidth is None:
        return None
    return float(rate / link_images_per_s(bandwidth, row["payload_bytes"]))
