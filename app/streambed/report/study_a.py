"""The figures of study A, by their published numbers: 3 to 6 image rates, 7 to 10 times."""

from collections.abc import Callable

from streambed.report.data import ReportData
from streambed.report.figure import Drawing, figure
from streambed.report.streaming import draw_image_rate, draw_micro_batch_time
from streambed.report.study import TRIGGER, is_study_a

_Draw = Callable[[ReportData], Drawing | None]


def _at(trigger_s: float, draw: _Draw) -> _Draw:
    """One trigger, the modes as curves."""

    def drawn(data: ReportData) -> Drawing | None:
        if not is_study_a(data):
            return None
        return draw(data.view(row for row in data.rows if row[TRIGGER] == trigger_s))

    return drawn


def _register(name: str, title: str, numbers: dict[float, int], draw: _Draw) -> None:
    """`numbers`: trigger (s) → the figure's number."""
    for trigger_s, number in numbers.items():
        files = f"fig-{number:02d}-{name}-{trigger_s:g}s"
        heading = f"Fig. {number}: {title}, trigger {trigger_s:g} s"
        figure(files, heading, "streaming")(_at(trigger_s, draw))


_register("image-rate", "images classified per second", {1: 3, 2: 4, 5: 5}, draw_image_rate)


@figure("fig-06-image-rate", "Fig. 6: images classified per second, compared", "streaming")
def rates_compared(data: ReportData) -> Drawing | None:
    """One panel per mode, one curve per trigger."""
    return draw_image_rate(data, own_scales=True) if is_study_a(data) else None


_register("micro-batch-time", "time of a micro-batch", {1: 7, 2: 8, 5: 9}, draw_micro_batch_time)


@figure("fig-10-micro-batch-time", "Fig. 10: time of a micro-batch, compared", "streaming")
def times_compared(data: ReportData) -> Drawing | None:
    """One panel per mode, one curve per trigger."""
    return draw_micro_batch_time(data, own_scales=True) if is_study_a(data) else None
