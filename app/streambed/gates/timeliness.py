"""Open mode: latencies mean something when clocks agree and the lag does not grow."""

import numpy as np

from streambed.gates.reading import Reading
from streambed.results.lag import TOLERATED, Growth
from streambed.results.latency import Parts

CLOCK_ROUNDING_S = 0.002
"""Kafka keeps milliseconds, rounded down at both ends of an interval."""


def clocks_agree(parts: Parts) -> Reading:
    """No part of the latency, each the difference of two nodes' clocks, has a median below zero.

    Clocks that are off by less than the part itself pass: only what is impossible is seen.
    """
    medians = {
        name: float(np.median(times_s)) for name, times_s in parts.by_name().items() if times_s.size
    }
    least = min(medians, key=lambda name: medians[name], default=None)
    return Reading(
        gate="clocks_agree",
        ok=least is not None and medians[least] >= -CLOCK_ROUNDING_S,
        measured="no image was followed" if least is None else round(medians[least], 4),
        expected=f"at least {-CLOCK_ROUNDING_S:g} for the shortest part of the latency ({least})",
        unit="" if least is None else "s",
    )


def lag_settled(growth: Growth | None, rate_per_s: float) -> Reading:
    """Lag grew by no more than 1 % of the offered rate (images/s), or its interval allows that.

    While it grows, latency tells how long the cell was rather than how quick the system is.
    """
    limit = TOLERATED * rate_per_s
    return Reading(
        gate="lag_settled",
        ok=growth is not None and growth.low_per_s <= limit,
        measured="too few micro-batches" if growth is None else round(growth.slope_per_s, 1),
        expected=f"at most {limit:.1f}, or an interval that reaches there"
        + ("" if growth is None else f" ({growth.low_per_s:.1f} to {growth.high_per_s:.1f})"),
        unit="" if growth is None else "images/s",
    )
