"""Figure of what encryption and accounts cost: the sustainable rate with and without."""

from collections.abc import Sequence

from streambed.report import words
from streambed.report.curves import curves
from streambed.report.data import ReportData
from streambed.report.figure import Drawing, figure
from streambed.report.statistics import Estimate, ratio
from streambed.report.study import PLAINTEXT
from streambed.results.row import Flat

RATE = "sustainable_rate_per_s"
ACCEPTED = 0.10
"""Part of the rate that may be paid for it."""


def share_kept(rows: Sequence[Flat]) -> Estimate | None:
    """Rate sustained encrypted over the one in plaintext; None where either is missing."""

    def rates(level: str) -> list[float]:
        return [
            float(row[RATE])
            for row in rows
            if row.get(PLAINTEXT) == level and row.get(RATE) is not None
        ]

    return ratio(rates("off"), rates("on"))


def sentences(rows: Sequence[Flat]) -> list[str]:
    """What it costs; empty where it was not compared."""
    kept = share_kept(rows)
    if kept is None:
        return []
    low = kept.median if kept.low is None else kept.low
    spread = "" if kept.low is None else f" (95 %: {kept.low:.2f} to {kept.high:.2f})"
    verdict = (
        f"no more than the {100 * ACCEPTED:.0f} % that it may cost"
        if low >= 1 - ACCEPTED
        else f"more than the {100 * ACCEPTED:.0f} % that it may cost"
        if kept.median < 1 - ACCEPTED
        else f"whether that is more than {100 * ACCEPTED:.0f} % is too close to call"
    )
    share = f"{kept.median:.2f} of the rate in plaintext was sustained{spread}"
    return [f"With TLS and passwords {share}: {verdict}."]


@figure("encryption", "What encryption and accounts cost", "streaming")
def encryption(data: ReportData) -> Drawing | None:
    """Sustainable rate against `plaintext`."""
    if PLAINTEXT not in data.varied:
        return None
    seen = data.view(data.rows, x=PLAINTEXT)
    points = seen.points(RATE)
    if not points:
        return None
    return Drawing(
        chart=curves(seen, points, "sustainable rate (images/s)"),
        caption=(
            f"Highest rate that was sustained, {words.over(seen)}. {words.spread(points)} Kafka's "
            f"clients only: Spark's own connections are encrypted in both. "
            f"{' '.join(sentences(data.ok))}"
        ),
        alternative=words.in_words(seen, points, "images/s"),
        table=words.table(seen, points, RATE),
    )
