"""Figures of pipeline `cameras`: what more cameras do to each other."""

from collections.abc import Sequence

from streambed.report import words
from streambed.report.curves import curves
from streambed.report.data import ReportData
from streambed.report.figure import Drawing, figure
from streambed.results.row import Flat

CAMERAS, CLIENTS, RATE = "cameras", "camera_clients", "frame_rate_images_per_s"
WORST, FAIR = "latency_worst_p99_s", "camera_fairness"


def of_cameras(data: ReportData) -> list[Flat]:
    """The rows of this pipeline: a report may have others beside them."""
    return [row for row in data.rows if CLIENTS in row]


def _over_cameras(
    data: ReportData, measure: str, what: str, unit: str, more: str = ""
) -> Drawing | None:
    seen = data.view(of_cameras(data), x=CAMERAS, series=CLIENTS)
    points = seen.points(measure)
    if seen.x != CAMERAS or len({point.x for point in points}) < 2:
        return None
    return Drawing(
        chart=curves(seen, points, f"{what} ({unit})" if unit else what),
        caption=f"{what[0].upper()}{what[1:]}, {words.over(seen)}{more}. {words.spread(points)}",
        alternative=words.in_words(seen, points, unit),
        table=words.table(seen, points, measure),
    )


@figure("camera-latency", "Latency of the camera that is worst off", "cameras")
def latency(data: ReportData) -> Drawing | None:
    """99th percentile, frame due to frame in a consumer's hands."""
    told = words.clocks(row.get("clock_uncertainty_s") for row in of_cameras(data))
    what = "99th percentile of the worst camera's latency"
    return _over_cameras(data, WORST, what, "s", told)


@figure("camera-fairness", "Fairness between cameras", "cameras")
def fairness(data: ReportData) -> Drawing | None:
    """Jain's index over frames that came within a frame's time."""
    return _over_cameras(data, FAIR, "Jain's fairness of frames on time", "")


def sentences(rows: Sequence[Flat]) -> list[str]:
    """What the headline says: how many cameras, and how the worst of them fares."""
    known = [row for row in rows if row.get(WORST) is not None]
    if not known:
        return []
    said = []
    for clients in dict.fromkeys(row[CLIENTS] for row in known):
        here = [row for row in known if row[CLIENTS] == clients]
        most = max(row[CAMERAS] for row in here)
        at_most = [row for row in here if row[CAMERAS] == most]
        worst = max(row[WORST] for row in at_most)
        fair = min(row[FAIR] or 0.0 for row in at_most)
        whose = "a client each" if clients == "own" else "one client for all"
        said.append(
            f"With {most} cameras of {at_most[0][RATE]:g} frames/s ({whose}) the worst camera's "
            f"99th percentile is {1000 * worst:,.0f} ms, fairness {fair:.3f}."
        )
    lost, reordered = (sum(row.get(name) or 0 for row in known) for name in ("lost", "reordered"))
    frames = sum(row["images"] or 0 for row in known)
    said.append(f"Of {frames:,} frames {lost:,} were lost and {reordered:,} came out of order.")
    return said
