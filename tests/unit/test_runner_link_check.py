"""The link is measured again only while others explain what is missing."""

import asyncio
from typing import Any, cast

import pytest

from streambed.experiment.schema import Gates
from streambed.gates import contention
from streambed.gates import goodput as goodputs
from streambed.gates.contention import CpuTimes
from streambed.gates.goodput import Goodput
from streambed.runner.link_check import MEASUREMENTS, Link

FULL = 9.5649
"""Mbit/s expected of a link of 10."""


class Host:
    """One node; `stolen` is what the hypervisor takes of each measurement, a fraction."""

    def __init__(self, goodputs_seen: list[float], stolen: float) -> None:
        self.seen = iter(goodputs_seen)
        self.stolen = stolen
        self.readings = 0
        self.measured = 0

    def all(self) -> list[object]:
        return []

    async def cpu(self, _: object) -> tuple[CpuTimes, ...]:
        total = 100.0 * self.readings
        self.readings += 1
        return (CpuTimes(total, 0.0, self.stolen * total, 0.0, None),)

    async def goodput(self, *_: object) -> Goodput:
        self.measured += 1
        rate = next(self.seen)
        return Goodput(rate, rate)


def check(monkeypatch: pytest.MonkeyPatch, host: Host) -> tuple[Goodput, dict[str, bool]]:
    monkeypatch.setattr(contention, "read", host.cpu)
    monkeypatch.setattr(goodputs, "measure", host.goodput)
    # Time passes as if both directions had been measured.
    clock = iter(range(0, 1000, 6))
    monkeypatch.setattr("streambed.gates.contention.time.monotonic", lambda: next(clock))
    fleet = cast(Any, host)
    link = Link(fleet, fleet, fleet, rate_bit_per_s=10e6, mtu_bytes=1500)
    measured, readings = asyncio.run(link.check(Gates(), "before"))
    return measured, {reading.gate: reading.ok for reading in readings}


def test_a_miss_that_others_explain_is_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host([0.9 * FULL, FULL], stolen=0.08)
    measured, gates = check(monkeypatch, host)
    assert host.measured == 2
    assert measured.up_mbit_per_s == FULL
    assert gates == {"goodput_up_before": True, "goodput_down_before": True}


def test_the_last_measurement_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host([0.9 * FULL] * 9, stolen=0.08)
    _, gates = check(monkeypatch, host)
    assert host.measured == MEASUREMENTS
    assert not any(gates.values())


def test_a_miss_of_the_link_itself_is_final(monkeypatch: pytest.MonkeyPatch) -> None:
    """10 % of 3 s are missing one way: others must have had 5 % of the 6 s that both took."""
    host = Host([0.9 * FULL] * 9, stolen=0.04)
    _, gates = check(monkeypatch, host)
    assert host.measured == 1
    assert not gates["goodput_up_before"]
    assert gates["cpu_taken_by_others_before"]


def test_a_link_that_is_too_fast_is_not_explained_by_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host = Host([1.2 * FULL] * 9, stolen=0.08)
    _, gates = check(monkeypatch, host)
    assert host.measured == 1
    assert not gates["goodput_down_before"]
