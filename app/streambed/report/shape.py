"""The shape of study A's curves: does the rate level off, and do micro-batches overrun?

The same arithmetic over published values and over each mode, trigger by trigger, so that the two
can be compared although the machines differ.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median

from streambed.report.data import ReportData
from streambed.report.published import published
from streambed.report.streaming import RATE, TIME
from streambed.report.study import BANDWIDTH, MODE, TRIGGER

PUBLISHED_MODE = "as_published"
LEVEL = 0.15
"""Rates within this part of the rate at the highest bandwidth are level with it."""

BEYOND = 1.5
"""A rate has levelled off when the link grew by this factor more without it."""

Curve = Mapping[float, float]
"""Bandwidth, Mbit/s → images/s or s."""


@dataclass(frozen=True)
class Shape:
    """One curve pair at one trigger."""

    trigger_s: float
    name: str
    """`published`, or the mode."""
    level_from_mbit_per_s: float | None
    """None: the rate does not level off."""
    level_images_per_s: float | None
    """Median rate from there on."""
    most_overrun: float | None
    """Longest mean micro-batch time over the trigger."""
    real_time_to_mbit_per_s: float | None
    """Up to here each mean time is below the trigger; None: at the lowest bandwidth it is not."""

    @property
    def is_published_shape(self) -> bool:
        """The rate levels off, and above some bandwidth micro-batches overrun."""
        return self.level_from_mbit_per_s is not None and (self.most_overrun or 0) > 1


def shapes(data: ReportData) -> list[Shape]:
    """By trigger: the published values where there are any, then each mode.

    Empty for one bandwidth: that is no curve.
    """
    if data.x != BANDWIDTH:
        return []
    found = []
    for trigger_s in sorted({float(row[TRIGGER]) for row in data.rows}):
        here = data.view(row for row in data.rows if row[TRIGGER] == trigger_s)
        rates = {p.x: p.value for p in published(here, RATE)}
        times = {p.x: p.value for p in published(here, TIME)}
        if rates or times:
            found.append(_shape(trigger_s, "published", rates, times))
        for mode in dict.fromkeys(row[MODE] for row in here.ok):
            one = here.view(row for row in here.rows if row[MODE] == mode)
            found.append(_shape(trigger_s, mode, _curve(one, RATE), _curve(one, TIME)))
    return found


def verdict(found: Iterable[Shape]) -> str:
    """Whether the mode `as_published` shows the published shape; empty without such results."""
    ours = [shape for shape in found if shape.name == PUBLISHED_MODE]
    if not ours:
        return ""
    alike = [shape for shape in ours if shape.is_published_shape]
    missing = [shape for shape in ours if not shape.is_published_shape]
    parts = []
    if alike:
        parts.append(
            f"At trigger {_triggers(alike)} the published shape appears: the rate levels off while "
            "the link still grows, and micro-batches take longer than their trigger."
        )
    for shape in missing:
        level = "levels off" if shape.level_from_mbit_per_s else "does not level off"
        over = shape.most_overrun
        took = "is not known" if over is None else f"is {over:.2f} of the trigger at most"
        parts.append(
            f"At trigger {shape.trigger_s:g} s it does not: the rate {level}, and the time of a "
            f"micro-batch {took}."
        )
    return " ".join(parts)


def levels_off(rates: Curve) -> float | None:
    """The lowest bandwidth from which all rates are level with the last one.

    None when that leaves too little of the link to tell: the last bandwidth must be at least
    `BEYOND` times this one.
    """
    if not rates:
        return None
    most = max(rates)
    level = [b for b in rates if abs(rates[b] - rates[most]) <= LEVEL * rates[most]]
    outside = [b for b in rates if b not in level]
    begin = min(b for b in level if not outside or b > max(outside))
    return begin if most >= BEYOND * begin else None


def _curve(data: ReportData, measure: str) -> Curve:
    return {float(p.x): p.median for p in data.points(measure)}


def _shape(trigger_s: float, name: str, rates: Curve, times: Curve) -> Shape:
    begin = levels_off(rates)
    in_time = [b for b in times if all(times[low] < trigger_s for low in times if low <= b)]
    return Shape(
        trigger_s=trigger_s,
        name=name,
        level_from_mbit_per_s=begin,
        level_images_per_s=median(rates[b] for b in rates if b >= begin) if begin else None,
        most_overrun=max(times.values()) / trigger_s if times else None,
        real_time_to_mbit_per_s=max(in_time, default=None),
    )


def _triggers(found: Iterable[Shape]) -> str:
    return ", ".join(f"{shape.trigger_s:g} s" for shape in found)
