"""The gates of batches that queue, and of what mode `as_published` may claim."""

import pytest

from streambed.experiment.factors import StreamingConfiguration
from streambed.gates import representative, trigger
from streambed.gates.reading import Reading
from streambed.results.measures import StreamingMeasures
from streambed.results.window import Window


def cut_batches(interval_s: float, execution_s: float, count: int = 10) -> list[dict[str, float]]:
    """Events of a system that is behind: each batch starts as its predecessor ends."""
    return [
        {
            "cut_at": 100.0 + interval_s * index,
            "started_at": 100.0 + execution_s * index,
            "execution_s": execution_s,
        }
        for index in range(count)
    ]


def test_batches_that_queue_are_judged_by_their_cuts() -> None:
    assert trigger.judge(cut_batches(1.0, 3.0), 1.0).ok
    assert not trigger.judge(cut_batches(3.0, 3.0), 1.0).ok


def test_batches_that_overlap_are_no_queue() -> None:
    batches = cut_batches(1.0, 3.0)
    batches[4]["started_at"] -= 0.5
    reading = trigger.judge(batches, 1.0)
    assert not reading.ok
    assert "1 of them too early" in str(reading.measured)


def test_one_cut_proves_nothing() -> None:
    assert not trigger.judge(cut_batches(1.0, 0.5, count=1), 1.0).ok


def verdict(
    unshaped_rate_per_s: float,
    *,
    drained: bool,
    bandwidth: float | None = 50.0,
    mode: str = "as_published",
) -> list[Reading]:
    config = StreamingConfiguration(bandwidth_mbit_per_s=bandwidth, mode=mode)
    measures = StreamingMeasures(image_rate_per_s=1000.0, busy_image_rate_per_s=2000.0)
    window = Window(0.0, 10.0, 10, drained=drained)
    return representative.judge(config, 784, measures, window, unshaped_rate_per_s)


@pytest.mark.parametrize(("rate", "ok"), [(2499, False), (2500, True)])
def test_a_saturated_cell_needs_a_producer_of_2_5_times_its_capacity(rate: float, ok: bool) -> None:
    (reading,) = verdict(rate, drained=False)
    assert reading.ok is ok
    assert reading.flag == "not_representative"


def test_a_cell_that_the_producer_limits_is_judged_by_what_the_classifier_could() -> None:
    assert [r.ok for r in verdict(4999, drained=True, bandwidth=None)] == [False]
    assert [r.ok for r in verdict(5000, drained=True, bandwidth=None)] == [True]
    # 100 Mbit/s carry 15,000 images/s.
    assert [r.ok for r in verdict(3000, drained=True, bandwidth=100.0)] == [False]


def test_nothing_is_judged_where_the_link_alone_limits_or_in_another_mode() -> None:
    assert verdict(3000, drained=True, bandwidth=10.0) == []
    assert verdict(100, drained=False, mode="engineered") == []
