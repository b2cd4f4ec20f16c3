"""Why one mode is faster than the other: each mode with one factor as the other has it."""

from collections.abc import Iterable, Sequence
from statistics import median

from streambed.report import words
from streambed.report.curves import curves
from streambed.report.data import ReportData
from streambed.report.figure import Drawing, figure
from streambed.report.streaming import RATE, draw_image_rate, draw_micro_batch_time
from streambed.report.study import MODE, SWAP, swaps_factors
from streambed.results.row import Flat

OF_OWN = "image_rate_over_own"


@figure("modes-causes", "What each factor of a mode is worth", "streaming")
def causes(data: ReportData) -> Drawing | None:
    """Image rate with one factor swapped over the mode's own, one curve per mode."""
    if not swaps_factors(data):
        return None
    own = own_rates(data.ok)
    seen = _by_factor(data, (row for row in data.rows if row[SWAP] is not None))

    def over_own(row: Flat) -> float | None:
        rate, mode = row.get(RATE), row[MODE]
        return float(rate) / own[mode] if rate is not None and mode in own else None

    points = seen.points(over_own)
    if not points:
        return None
    said = (
        (
            "Image rate of a mode that has one factor as the other mode has it, as a multiple of "
            f"the mode's own, {words.over(seen)}."
        ),
        apart(data),
        words.spread(points),
    )
    return Drawing(
        chart=curves(seen, points, "image rate / the mode's own"),
        caption=" ".join(text for text in said if text),
        alternative=words.in_words(seen, points, "times the mode's own rate"),
        table=words.table(seen, points, OF_OWN),
    )


@figure("modes-image-rate", "Images classified per second", "streaming")
def image_rate(data: ReportData) -> Drawing | None:
    """The same in images per second, the modes themselves first."""
    if not swaps_factors(data):
        return None
    return draw_image_rate(_by_factor(data, data.rows))


@figure("modes-micro-batch-time", "Processing time of a micro-batch", "streaming")
def micro_batch_time(data: ReportData) -> Drawing | None:
    """Of the same cells."""
    if not swaps_factors(data):
        return None
    return draw_micro_batch_time(_by_factor(data, data.rows))


def _by_factor(data: ReportData, rows: Iterable[Flat]) -> ReportData:
    return data.view(rows, x=SWAP, series=MODE)


def own_rates(rows: Sequence[Flat]) -> dict[str, float]:
    """Mode → median image rate of its cells without a swap, images/s."""
    found: dict[str, list[float]] = {}
    for row in rows:
        if row.get(SWAP) is None and row.get(RATE) is not None:
            found.setdefault(row[MODE], []).append(float(row[RATE]))
    return {mode: median(rates) for mode, rates in found.items()}


def apart(data: ReportData) -> str:
    """How far the modes are apart, in a sentence; empty where there are not two of them."""
    own = own_rates(data.ok) if swaps_factors(data) else {}
    if len(own) != 2:
        return ""
    slow, fast = sorted(own, key=lambda mode: own[mode])
    return (
        f"{fast} classifies {own[fast]:,.0f} images per second, {slow} {own[slow]:,.0f}: "
        f"{own[fast] / own[slow]:.1f} times as many."
    )
