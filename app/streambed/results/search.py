"""The search for the sustainable rate, without the bed: which rate next, and what a probe showed.

The highest offered rate at which lag grows by no more than 1 % of that rate is bracketed in steps
of half, then bisected until the bracket's ends are within 5 %. What is found is the lower end: a
rate that was tried and held.
"""

from dataclasses import dataclass

from streambed.results import lag
from streambed.results.samples import Batches

RESOLUTION = 0.05
"""The bracket's ends lie within this part of the lower one when the search ends."""

STEP = 1.5
"""Rates tried while one end of the bracket is unknown differ by this factor."""

FLOOR = 1 / 64
"""Below this part of the first rate tried the search gives up."""

LOOKS = 8
LOOKS_AT_GROSS_OVERLOAD = 4
GROSS = 0.2
"""Lag that surely grows by more than this part of the rate needs no more looks."""

LEAST_S, MOST_S = 8.0, 30.0
"""A probe's time after settling; but no less than 8 and no more than 24 triggers."""

SETTLE_S = 2.0
"""After a probe's first image batches find their size; but no less than 2 triggers."""


@dataclass(frozen=True)
class Probe:
    """One rate tried, images/s, with what its lag did."""

    rate_per_s: float
    sustained: bool
    reason: str
    lasted_s: float
    slope_per_s: float | None
    slope_low_per_s: float | None
    slope_high_per_s: float | None
    looks: int


@dataclass(frozen=True)
class Bracket:
    """What is known: the highest rate that held (0: none), the lowest that did not (None: none)."""

    start_per_s: float
    ceiling_per_s: float
    low_per_s: float = 0.0
    high_per_s: float | None = None

    def after(self, probe: Probe) -> "Bracket":
        """The bracket with one probe more."""
        low = probe.rate_per_s if probe.sustained else self.low_per_s
        high = self.high_per_s if probe.sustained else probe.rate_per_s
        return Bracket(self.start_per_s, self.ceiling_per_s, low, high)

    def next_rate(self) -> float | None:
        """The rate to try next; None when the search is over."""
        low, high = self.low_per_s, self.high_per_s
        if high is None:
            if low >= self.ceiling_per_s:
                return None
            return min(low * STEP or self.start_per_s, self.ceiling_per_s)
        if low == 0:
            lower = high / STEP
            return lower if lower >= FLOOR * self.start_per_s else None
        return None if high <= low * (1 + RESOLUTION) else (low + high) / 2

    @property
    def at_ceiling(self) -> bool:
        """Whether a rate held that the search cannot tell from the highest that can be offered.

        A link's ceiling leaves out what Kafka adds to each record, so just below it lag may grow.
        """
        return self.low_per_s * (1 + RESOLUTION) >= self.ceiling_per_s


def settle_s(trigger_s: float) -> float:
    """How long the first batches of a probe are left out."""
    return max(SETTLE_S, 2 * trigger_s)


def longest_s(trigger_s: float) -> float:
    """How long a probe sends at most."""
    return settle_s(trigger_s) + max(MOST_S, 24 * trigger_s)


def judge(
    batches: Batches, started_at: float, rate_per_s: float, trigger_s: float, *, over: bool
) -> Probe | None:
    """What the micro-batches so far say of a rate; None: more are needed.

    Args:
        batches: those since the first image of the probe.
        started_at: when that image was meant to be sent, unix seconds.
        rate_per_s: images offered per second.
        trigger_s: the interval of the micro-batches.
        over: the probe has sent all it may: decide now, by the slope itself.
    """
    filled = batches.filled()
    settled = filled.started_at_s >= started_at + settle_s(trigger_s)
    at_s = filled.started_at_s[settled]
    lags = lag.lag_at_starts(filled, started_at, rate_per_s)[settled]
    growth = lag.growth(at_s, lags)
    lasted_s = float(at_s[-1] - started_at) if at_s.size else 0.0
    if growth is None:
        few = "micro-batches took so long that fewer than 3 began"
        return Probe(rate_per_s, False, few, lasted_s, None, None, None, 0) if over else None
    sustained, reason = lag.sustained(growth, rate_per_s), "the slope's interval"
    measured_s = float(at_s[-1] - at_s[0])
    enough = growth.looks >= LOOKS and measured_s >= max(LEAST_S, (LOOKS - 1) * trigger_s)
    if not enough or sustained is None:
        gross = growth.looks >= LOOKS_AT_GROSS_OVERLOAD and growth.low_per_s > GROSS * rate_per_s
        if gross:
            sustained, reason = False, "gross overload"
        elif over:
            sustained, reason = growth.slope_per_s <= lag.TOLERATED * rate_per_s, "the slope"
        else:
            return None
    return Probe(
        rate_per_s=rate_per_s,
        sustained=bool(sustained),
        reason=reason,
        lasted_s=lasted_s,
        slope_per_s=growth.slope_per_s,
        slope_low_per_s=growth.low_per_s,
        slope_high_per_s=growth.high_per_s,
        looks=growth.looks,
    )
