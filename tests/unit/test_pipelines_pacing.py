"""Intended send times never slip, and partitions are filled evenly."""

from collections import Counter

import pytest

from streambed.pipelines.pacing import Schedule, block_size, partition_of


@pytest.mark.parametrize("rate", [0.5, 1.0, 1500.0, 14_950.0])
def test_an_image_is_due_from_its_intended_time_on(rate: float) -> None:
    schedule = Schedule(start=1_795_000_000.0, rate_per_s=rate)
    for index in (0, 1, 17, 100_000):
        intended = schedule.intended(index)
        assert schedule.due(intended + 1e-3 / rate + 1e-6) >= index + 1
        assert schedule.due(intended - 0.5 / rate) <= index


def test_nothing_is_due_before_the_start() -> None:
    assert Schedule(start=100.0, rate_per_s=1e6).due(99.999) == 0


def test_ten_seconds_hold_ten_times_the_rate() -> None:
    assert abs(Schedule(0.0, 15_000.0).due(10.0) - 150_000) <= 1


@pytest.mark.parametrize("partitions", [1, 2, 3, 8, 16, 40])
def test_a_tenth_of_a_second_at_10_mbit_fills_partitions_evenly(partitions: int) -> None:
    block = block_size(partitions)
    counts = Counter(partition_of(i, block, partitions) for i in range(7_000, 7_000 + 760))
    assert len(counts) == partitions
    assert max(counts.values()) - min(counts.values()) <= 2 * block


def test_more_partitions_than_images_in_a_round_still_take_turns() -> None:
    assert block_size(500) == 1
