"""Growth of memory, threads and files over a long cell, told from noise."""

from pathlib import Path

import numpy as np
import pytest

from streambed.gates import endurance
from streambed.results import heaps, soak
from streambed.results.resources import Limits, NodeUse

LIMITS = Limits(cpus=1.0, memory_bytes=2**30, mtu_bytes=1500)
START, END = 1000.0, 2800.0
ALIVE: heaps.Series = {("cloud", "broker"): (np.arange(START, END, 60), np.full(30, 2.0**26))}


def use(
    threads_per_h: float = 0.0,
    memory_per_h: float = 0.0,
    seconds: float = END - START,
    steps: tuple[tuple[float, float], ...] = (),
) -> NodeUse:
    """Samples of half an hour, with some noise; JVMs fill their heaps in the first half.

    At each step (minutes before the end, MiB) that much more memory is taken, and kept.
    """
    noise = np.random.default_rng(1)
    events = []
    for at in np.arange(START, START + seconds):
        hours, filling = (at - START) / 3600, min(1.0, (at - START) / 800)
        stairs = sum(mib * 2**20 for before, mib in steps if at > END - 60 * before)
        events.append(
            {
                "at": at,
                "cpu_s": {"broker": at - START},
                "memory_bytes": {
                    "broker": 2**28 * filling
                    + memory_per_h * hours
                    + stairs
                    + noise.normal(0, 2**16)
                },
                "threads": {"broker": 50 + threads_per_h * hours + noise.normal(0, 0.3)},
                "fds": {"broker": 120},
            }
        )
    return NodeUse.of_events(events, LIMITS)


def test_what_a_heap_fills_at_first_is_no_growth() -> None:
    found = soak.slopes({"cloud": use()}, ALIVE, START, END)
    assert endurance.nothing_grows(found).ok
    measures = soak.measures(found)
    assert abs(measures["memory_growth_mib_per_h"]) < 1
    assert abs(measures["thread_growth_per_h"]) < 1
    assert measures["fd_growth_per_h"] == 0


def test_a_leak_is_named_with_who_it_is() -> None:
    found = soak.slopes({"cloud": use(threads_per_h=30), "client": use()}, ALIVE, START, END)
    reading = endurance.nothing_grows(found)
    assert not reading.ok
    assert "broker on cloud" in str(reading.measured)
    assert "broker on client" not in str(reading.measured)


def test_a_leak_of_memory_is_seen_too() -> None:
    found = soak.slopes({"cloud": use(memory_per_h=2**26)}, ALIVE, START, END)
    assert not endurance.nothing_grows(found).ok


@pytest.mark.parametrize(
    ("steps", "grows"),
    [
        (((7.5, 3.0),), False),
        (((7.5, 10.0),), False),
        (((7.5, 30.0),), True),
        (tuple((minute + 0.5, 3.0) for minute in range(0, 15, 3)), True),
    ],
    ids=["one", "one of 10 MiB", "a large one", "stairs"],
)
def test_a_step_is_told_from_stairs(steps: tuple[tuple[float, float], ...], grows: bool) -> None:
    """As a least-squares line, 3 MiB in the middle are 18 MiB an hour, and surely so."""
    found = soak.slopes({"cloud": use(steps=steps)}, ALIVE, START, END)
    reading = endurance.nothing_grows(found)
    assert reading.ok is not grows, reading.measured


def test_a_leak_of_one_group_does_not_hide_in_the_beds_sum() -> None:
    """100 MiB an hour of a small group, beside what holds still and is large."""
    large, small = use(), use(memory_per_h=100 * 2**20)
    nodes = {"cloud": small, **{f"node{number}": large for number in range(20)}}
    found = soak.slopes(nodes, ALIVE, START, END)
    total = next(s for s in found if s.node is None and s.measure == "memory_bytes")
    assert not total.grows
    reading = endurance.nothing_grows(found)
    assert not reading.ok
    assert "memory_bytes of broker on cloud" in str(reading.measured)


def alive(tmp_path: Path, mib_per_h: float, once_mib: float = 0.0) -> heaps.Series:
    """Of two JVMs of a group together 64 MiB, more or less, after a collection each minute.

    In the middle of the second half of the window they take `once_mib` more, and keep it.
    """
    noise = np.random.default_rng(2)
    minutes = np.arange(START, END, 60)
    grown = mib_per_h * (minutes - START) / 3600 + once_mib * (minutes > END - 450)
    held = [
        heaps.Heap(at, "cloud", "broker", round(2**20 * (32 + more / 2 + noise.normal(0, 0.5))))
        for at, more in zip(minutes.tolist(), grown.tolist(), strict=True)
        for _ in range(2)
    ]
    heaps.write(tmp_path / heaps.FILE, held)
    return heaps.read(tmp_path / heaps.FILE)


@pytest.mark.parametrize(("mib_per_h", "grows"), [(0.0, False), (120.0, True)])
def test_what_stays_alive_in_a_heap_that_was_full_of_garbage_is_seen(
    tmp_path: Path, mib_per_h: float, grows: bool
) -> None:
    found = soak.slopes({"cloud": use()}, alive(tmp_path, mib_per_h), START, END)
    reading = endurance.nothing_grows(found)
    assert reading.ok is not grows
    assert ("live_heap_bytes of broker on cloud" in str(reading.measured)) is grows
    assert soak.measures(found)["live_heap_growth_mib_per_h"] == pytest.approx(mib_per_h, abs=8)


def test_a_buffer_that_is_taken_once_and_kept_is_no_leak(tmp_path: Path) -> None:
    """As Kafka's Raft does, 8 MiB at a time: a slope of 20 MiB/h and more over 15 minutes."""
    found = soak.slopes({"cloud": use()}, alive(tmp_path, 0.0, once_mib=8.0), START, END)
    assert soak.measures(found)["live_heap_growth_mib_per_h"] > 20
    assert endurance.nothing_grows(found).ok


def test_a_longer_look_tells_a_slower_leak() -> None:
    """What is taken once is the same however long; 12 MiB in each of four hours is more."""
    end_s = START + 4 * 3600
    at_s = np.arange(START, end_s, 60)
    leaking = {("cloud", "broker"): (at_s, 2.0**26 + 12 * 2**20 * (at_s - START) / 3600)}
    assert endurance.nothing_grows(soak.slopes({"cloud": use()}, leaking, START, END)).ok
    found = soak.slopes({"cloud": use(seconds=4 * 3600)}, leaking, START, end_s)
    assert not endurance.nothing_grows(found).ok


def test_without_a_look_into_a_heap_nothing_is_claimed(tmp_path: Path) -> None:
    assert heaps.read(tmp_path / heaps.FILE) == {}
    found = soak.slopes({"cloud": use()}, {}, START, END)
    assert "live_heap_growth_mib_per_h" not in soak.measures(found)
    assert not endurance.nothing_grows(found).ok


def test_a_thread_more_of_a_few_is_no_leak() -> None:
    """3 % of fifty threads would be less than two."""
    assert endurance.nothing_grows(
        soak.slopes({"cloud": use(threads_per_h=1.8)}, ALIVE, START, END)
    ).ok


def test_without_samples_nothing_is_claimed() -> None:
    assert soak.slopes({}, {}, START, END) == []
    assert not endurance.nothing_grows([]).ok
