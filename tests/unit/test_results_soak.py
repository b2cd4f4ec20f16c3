"""Growth of memory, threads and files over a long cell, told from noise."""

import numpy as np

from streambed.gates import endurance
from streambed.results import soak
from streambed.results.resources import Limits, NodeUse

LIMITS = Limits(cpus=1.0, memory_bytes=2**30, mtu_bytes=1500)
START, END = 1000.0, 2800.0


def use(threads_per_h: float = 0.0, memory_per_h: float = 0.0) -> NodeUse:
    """Samples of half an hour, with some noise; JVMs fill their heaps in the first half."""
    noise = np.random.default_rng(1)
    events = []
    for at in np.arange(START, END):
        hours, filling = (at - START) / 3600, min(1.0, (at - START) / 800)
        events.append(
            {
                "at": at,
                "cpu_s": {"broker": at - START},
                "memory_bytes": {
                    "broker": 2**28 * filling + memory_per_h * hours + noise.normal(0, 2**16)
                },
                "threads": {"broker": 50 + threads_per_h * hours + noise.normal(0, 0.3)},
                "fds": {"broker": 120},
            }
        )
    return NodeUse.of_events(events, LIMITS)


def test_what_a_heap_fills_at_first_is_no_growth() -> None:
    found = soak.slopes({"cloud": use()}, START, END)
    assert endurance.nothing_grows(found).ok
    measures = soak.measures(found)
    assert abs(measures["memory_growth_mib_per_h"]) < 1
    assert abs(measures["thread_growth_per_h"]) < 1
    assert measures["fd_growth_per_h"] == 0


def test_a_leak_is_named_with_who_it_is() -> None:
    found = soak.slopes({"cloud": use(threads_per_h=30), "client": use()}, START, END)
    reading = endurance.nothing_grows(found)
    assert not reading.ok
    assert "broker on cloud" in str(reading.measured)
    assert "broker on client" not in str(reading.measured)


def test_a_leak_of_memory_is_seen_too() -> None:
    found = soak.slopes({"cloud": use(memory_per_h=2**26)}, START, END)
    assert not endurance.nothing_grows(found).ok


def test_a_leak_of_one_group_does_not_hide_in_the_beds_sum() -> None:
    """100 MiB an hour of a small group, beside what holds still and is large."""
    large, small = use(), use(memory_per_h=100 * 2**20)
    nodes = {"cloud": small, **{f"node{number}": large for number in range(20)}}
    found = soak.slopes(nodes, START, END)
    total = next(s for s in found if s.node is None and s.measure == "memory_bytes")
    assert not total.grows
    reading = endurance.nothing_grows(found)
    assert not reading.ok
    assert "memory_bytes of broker on cloud" in str(reading.measured)


def test_a_thread_more_of_a_few_is_no_leak() -> None:
    """3 % of fifty threads would be less than two."""
    assert endurance.nothing_grows(soak.slopes({"cloud": use(threads_per_h=1.8)}, START, END)).ok


def test_without_samples_nothing_is_claimed() -> None:
    assert soak.slopes({}, START, END) == []
    assert not endurance.nothing_grows([]).ok
