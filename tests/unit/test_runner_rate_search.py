"""A rate is offered again only while others explain that it was not sustained."""

import asyncio
from typing import Any, cast

import pytest

from streambed.gates import contention
from streambed.gates.contention import CpuTimes, Taken
from streambed.results.search import RESOLUTION, Probe
from streambed.runner import rate_search
from streambed.runner.rate_search import TRIES, Found, Host, RateSearch
from streambed.runner.rates import Ceiling

CEILING_PER_S = 1500.0
OVER = 0.03
"""Lag grows by this part of a rate that is not sustained."""


def probe(rate_per_s: float, *, sustained: bool) -> Probe:
    slope = 0.0 if sustained else OVER * rate_per_s
    return Probe(rate_per_s, sustained, "the slope", 30.0, slope, slope, slope, 9)


@pytest.mark.parametrize(
    ("sustained", "stolen", "ok"),
    [(True, 0.5, True), (False, 0.0, True), (False, 0.09, True), (False, 0.11, False)],
)
def test_a_rate_that_was_not_sustained_is_judged_by_what_others_took(
    sustained: bool, stolen: float, ok: bool
) -> None:
    seen = Taken(steal=stolen, foreign=0.0, pressure=0.0)
    reading = rate_search.judge_others(probe(1000, sustained=sustained), seen, 0.1)
    assert (reading.ok, reading.flag) == (ok, "contended")


def search(monkeypatch: pytest.MonkeyPatch, stolen: list[float]) -> tuple[Found, RateSearch]:
    """Search on a bed that sustains every rate whenever nothing is stolen from it.

    Args:
        stolen: what the hypervisor takes of each probe, a fraction; nothing of the later ones.
    """
    total_s = steal_s = 0.0
    thefts = iter(stolen)
    theft = 0.0

    async def cpu(_: object) -> tuple[CpuTimes, ...]:
        return (CpuTimes(total_s, 0.0, steal_s, 0.0, None),)

    async def offer(_: RateSearch, _first: int, rate: float) -> tuple[Probe, int]:
        nonlocal total_s, steal_s, theft
        theft = next(thefts, 0.0)
        total_s += 30.0
        steal_s += 30.0 * theft
        return probe(rate, sustained=theft == 0), 100

    async def read(*_: object) -> None:
        pass

    monkeypatch.setattr(contention, "read", cpu)
    monkeypatch.setattr(RateSearch, "_probe", offer)
    monkeypatch.setattr(rate_search, "until_read", read)
    fake = cast(Any, type("Program", (), {"stage": lambda *_: None})())
    fake.events = [{"event": "batch", "rows": 2000, "execution_s": 1.0}]
    searching = RateSearch(fake, fake, 1.0, fake, Host([], contended_above=0.1))
    found = asyncio.run(searching.run(0, 0, Ceiling(CEILING_PER_S, "link")))
    return found, searching


def test_a_rate_that_failed_because_of_others_is_offered_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found, searching = search(monkeypatch, [0.15])
    assert (found.rate_per_s, found.images) == (CEILING_PER_S, 200)
    assert [p.sustained for p in searching.probes] == [False, True]
    assert not searching.readings


def test_the_last_probe_of_a_rate_counts_and_flags_the_cell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found, searching = search(monkeypatch, [0.15] * TRIES)
    assert CEILING_PER_S / (1 + RESOLUTION) <= found.rate_per_s < CEILING_PER_S
    (reading,) = searching.readings
    assert (reading.gate, reading.ok) == ("cpu_taken_by_others_searching", False)


def test_a_rate_that_failed_by_itself_is_final(monkeypatch: pytest.MonkeyPatch) -> None:
    found, searching = search(monkeypatch, [0.01])
    assert [p.rate_per_s for p in searching.probes[:2]] != [CEILING_PER_S] * 2
    assert found.rate_per_s < CEILING_PER_S
    assert not searching.readings
