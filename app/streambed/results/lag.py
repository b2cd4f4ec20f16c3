"""Lag: images that were meant to be sent and are not classified yet, and how fast it grows.

It is looked at when a micro-batch starts: just then everything before it is classified, so that
whole batches do not show as a saw-tooth. Its slope is the least-squares line's, with Student's
interval.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from streambed.results.samples import Batches, Floats

TOLERATED = 0.01
"""A rate is sustainable when lag grows by at most this part of it."""

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Growth:
    """Slope of the lag, images/s, with its interval; from `looks` micro-batches."""

    slope_per_s: float
    low_per_s: float
    high_per_s: float
    looks: int


def lag_at_starts(batches: Batches, started_at: float, rate_per_s: float) -> Floats:
    """Lag at the start of each micro-batch with images, float64[n].

    Args:
        batches: those since the first image was sent, in their order.
        started_at: when the first image was meant to be sent, unix seconds.
        rate_per_s: images meant to be sent per second.
    """
    before = np.concatenate(([0], np.cumsum(batches.rows)[:-1])) if batches.rows.size else 0
    return rate_per_s * (batches.started_at_s - started_at) - before


def growth(at_s: Floats, lag: Floats) -> Growth | None:
    """How fast lag float64[n] grew over the times float64[n]; None for fewer than 3 looks."""
    if at_s.size < 3:
        return None
    line = stats.linregress(at_s - at_s[0], lag)
    # Of a lag that never changed scipy gives no error.
    error = float(line.stderr) if np.ptp(lag) else 0.0
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, at_s.size - 2)) * error
    slope = float(line.slope)
    return Growth(slope, slope - reach, slope + reach, int(at_s.size))


def sustained(found: Growth, rate_per_s: float) -> bool | None:
    """Whether lag did not grow at this rate; None while the interval holds the limit."""
    limit = TOLERATED * rate_per_s
    if found.high_per_s <= limit:
        return True
    return False if found.low_per_s > limit else None
