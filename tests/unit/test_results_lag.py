"""Lag and its slope: what keeps up does not grow, what does not keep up does."""

import numpy as np
import pytest

from streambed.gates import timeliness
from streambed.results import lag
from streambed.results.samples import Batches, Floats

EPOCH = 1_760_000_000.0


def simulate(rate: float, capacity: float, batches: int = 16, jitter_s: float = 0.1) -> Batches:
    """Trigger 1 s, a fixed 0.3 s and `capacity` images/s on top, as the query would run."""
    random = np.random.default_rng(3)
    starts, times, rows, read, at = [], [], [], 0, 1.0
    for _ in range(batches):
        due = int(rate * at) - read
        took = 0.3 + due / capacity + random.uniform(0, jitter_s)
        starts.append(EPOCH + at)
        times.append(took)
        rows.append(due)
        read += due
        at = max(np.floor(at) + 1, at + took) + random.uniform(0, jitter_s) / 4
    return Batches(np.array(starts), np.array(times), np.array(rows, np.int64))


def growth_of(done: Batches, rate: float) -> lag.Growth:
    found = lag.growth(done.started_at_s[3:], lag.lag_at_starts(done, EPOCH, rate)[3:])
    assert found is not None
    return found


@pytest.mark.parametrize(("rate", "verdict"), [(5_000, True), (30_000, False)])
def test_a_rate_below_capacity_is_sustained_and_one_above_is_not(rate: int, verdict: bool) -> None:
    found = growth_of(simulate(rate, capacity=20_000), rate)
    assert lag.sustained(found, rate) is verdict
    assert timeliness.lag_settled(found, rate).ok is verdict
    assert found.low_per_s <= found.slope_per_s <= found.high_per_s


def test_a_noisy_look_decides_nothing_and_fails_nothing() -> None:
    at: Floats = np.arange(6.0)
    found = lag.growth(at, np.array([0.0, 900.0, 100.0, 1000.0, 50.0, 950.0]))
    assert found is not None
    assert lag.sustained(found, 1000) is None
    assert timeliness.lag_settled(found, 1000).ok


@pytest.mark.parametrize(("grown", "settled"), [(2_000.0, True), (80_000.0, False)])
def test_half_an_hour_may_leave_no_more_than_one_trigger(grown: float, settled: bool) -> None:
    """80,000 images are less than 1 % of the rate, each second, and 17 s of it at the end."""
    rate, at = 4_800.0, np.arange(1800.0)
    noise = np.random.default_rng(5).normal(0, 0.1 * rate, at.size)
    found = lag.growth(at, grown * at / 1800 + noise)
    assert found is not None
    assert timeliness.lag_settled(found, rate).ok
    assert timeliness.lag_settled(found, rate, rate / 1800).ok is settled


def test_two_looks_have_no_slope() -> None:
    assert lag.growth(np.array([0.0, 1.0]), np.array([0.0, 1.0])) is None
    assert not timeliness.lag_settled(None, 1000).ok
    empty = Batches(np.array([]), np.array([]), np.array([], np.int64))
    assert lag.lag_at_starts(empty, EPOCH, 10).size == 0
