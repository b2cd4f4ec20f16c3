"""The search brackets and bisects; a probe is judged by its lag's slope."""

import numpy as np
import pytest

from streambed.results.samples import Batches
from streambed.results.search import RESOLUTION, Bracket, Probe, judge

EPOCH = 1_760_000_000.0


def searched(capacity: float, *, start: float = 10_000, ceiling: float = 60_000) -> list[Probe]:
    bracket, probes = Bracket(start, ceiling), []
    while (rate := bracket.next_rate()) is not None:
        probes.append(Probe(rate, rate <= capacity, "", 8.0, 0.0, 0.0, 0.0, 8))
        bracket = bracket.after(probes[-1])
    return probes


@pytest.mark.parametrize("capacity", [400, 2_000, 9_999, 10_000, 14_321, 59_000])
def test_what_is_found_held_and_is_within_the_resolution(capacity: float) -> None:
    probes = searched(capacity)
    found = max(p.rate_per_s for p in probes if p.sustained)
    assert found <= capacity < found * (1 + RESOLUTION) * 1.001
    assert len(probes) <= 14


def test_a_system_that_is_always_sustainable_ends_at_the_ceiling() -> None:
    probes = searched(1e9)
    assert probes[-1].rate_per_s == 60_000
    assert all(p.sustained for p in probes)
    assert searched(1e9, start=90_000)[0].rate_per_s == 60_000


def test_a_rate_next_to_the_ceiling_is_the_ceilings() -> None:
    """Its own overhead keeps a link from carrying quite what its goodput promises."""
    near, far = (Bracket(500, 1510, low, 1510) for low in (1470, 1300))
    assert (near.at_ceiling, near.next_rate()) == (True, None)
    assert not far.at_ceiling


def test_a_system_that_sustains_nothing_is_given_up() -> None:
    probes = searched(0)
    assert not any(p.sustained for p in probes)
    assert min(p.rate_per_s for p in probes) >= 10_000 / 64


def steady(rate: float, seconds: int, *, capacity: float = 1e9) -> Batches:
    """Trigger 1 s: each batch takes what is due, at most what `capacity` allows."""
    starts = np.arange(1, seconds + 1, dtype=np.float64)
    total = np.minimum(rate * starts, capacity * starts)
    rows = np.diff(np.concatenate(([0], total)))
    return Batches(EPOCH + starts + 0.02, np.full(seconds, 0.5), rows.astype(np.int64))


def test_a_probe_ends_once_its_interval_decides() -> None:
    assert judge(steady(1000, 7), EPOCH, 1000, 1.0, over=False) is None
    held = judge(steady(1000, 12), EPOCH, 1000, 1.0, over=False)
    assert held is not None
    assert held.sustained
    assert held.looks >= 8


def test_gross_overload_is_seen_early() -> None:
    seen = judge(steady(1000, 6, capacity=500), EPOCH, 1000, 1.0, over=False)
    assert seen is not None
    assert not seen.sustained
    assert seen.slope_per_s == pytest.approx(500, rel=0.05)


def test_slight_overload_is_seen_in_time() -> None:
    seen = judge(steady(1000, 14, capacity=950), EPOCH, 1000, 1.0, over=False)
    assert seen is not None
    assert not seen.sustained


def test_a_probe_that_is_over_is_judged_with_what_there_is() -> None:
    short = judge(steady(1000, 6), EPOCH, 1000, 1.0, over=True)
    assert short is not None
    assert short.sustained
    none = judge(steady(1000, 1), EPOCH, 1000, 1.0, over=True)
    assert none is not None
    assert not none.sustained
    assert "fewer than 3" in none.reason
