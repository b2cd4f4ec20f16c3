"""Rates of a producer and of consumers, from what their programs told on the way: arithmetic only.

The steady part (see steady.py) leaves out the first tenth of the images: connections, the first
batches, a JVM that compiles. While something is being sent, consumers are judged until the last
send: what they do with the rest is another scenario.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from streambed.results.steady import Progress

WARM_UP_SHARE = 0.1
"""Part of the images that never counts."""

Events = Iterable[Mapping[str, Any]]


def warm_up_images(images: int) -> int:
    """Of so many."""
    return math.ceil(WARM_UP_SHARE * images)


def produced(events: Events) -> list[Progress]:
    """Images as they were acknowledged: `progress` events count them up, `sample` events add."""
    found: list[Progress] = []
    acked = 0
    for event in events:
        if event.get("event") == "sample":
            found.append(Progress(event["at"], event["images"]))
        elif event.get("event") == "progress" and event["acked"] > acked:
            found.append(Progress(event["at"], event["acked"] - acked))
            acked = event["acked"]
    return found


def consumed(consumers: Sequence[Events], until_s: float = math.inf) -> list[Progress]:
    """Images as each consumer got them, up to a moment (unix seconds)."""
    return [
        Progress(event["at"], event["images"], worker)
        for worker, events in enumerate(consumers)
        for event in events
        if event.get("event") == "sample" and event["at"] <= until_s
    ]


def longest_gap_s(progress: Sequence[Progress]) -> float | None:
    """The longest time between two steps; None for fewer than two."""
    times = sorted(step.at_s for step in progress)
    return max((late - early for early, late in zip(times, times[1:], strict=False)), default=None)


LEAST_US = 0.05
"""CPU time per image below which a part of a profile is not told."""


def profile_words(profile: Mapping[str, Any] | None, images: int) -> str | None:
    """`checksum 61.0 us; record batches 20.0 us`, largest first: CPU time per image.

    Args:
        profile: the producer's `profile`, see pipelines/thread_profile.py.
        images: that it was taken of.
    """
    if profile is None:
        return None
    parts = {**profile["activities_s"], "threads in C": profile["other_s"]}
    each_us = {name: 1e6 * spent_s / images for name, spent_s in parts.items()}
    ranked = sorted(each_us.items(), key=lambda entry: -entry[1])
    return "; ".join(f"{name} {us:.1f} us" for name, us in ranked if us >= LEAST_US) or None


def profile_us(words: str) -> dict[str, float]:
    """What `profile_words` has written: part → CPU time per image in us."""
    parts = (part.removesuffix(" us").rpartition(" ") for part in words.split("; "))
    return {name: float(us) for name, _, us in parts}
