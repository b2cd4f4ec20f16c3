"""Median and 95 % bootstrap interval over repeats; SciPy does the arithmetic.

The percentile interval of the median of n values lies between two of them, and for n = 3, 4, 5 it
is their whole range. The range covers the true median with probability 1 − 2 (1/2)^n (each value
is above it or below): 0.75, 0.875, 0.9375. So the level is nominal below 6 repeats.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

LEVEL = 0.95
RESAMPLES = 9999
SEED = 20_170_601
"""Fixed, so that one set of results gives one set of intervals."""

LEAST_REPEATS = 3
"""With fewer there is no interval: the range of two values misses the median half of the time."""


@dataclass(frozen=True)
class Estimate:
    """`low` and `high` are None when there are too few repeats for an interval."""

    median: float
    low: float | None
    high: float | None
    n: int


def estimate(values: Sequence[float]) -> Estimate | None:
    """Median of values and its percentile bootstrap interval; None without a value."""
    data = np.asarray(values, np.float64)
    if not data.size:
        return None
    low, high = _interval((data,), np.median) if data.size >= LEAST_REPEATS else (None, None)
    return Estimate(float(np.median(data)), low, high, data.size)


def ratio(numerator: Sequence[float], denominator: Sequence[float]) -> Estimate | None:
    """Ratio of two medians and its interval (both resampled); None when it is undefined."""
    top, bottom = np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)
    if not top.size or not bottom.size or np.median(bottom) == 0:
        return None
    # A zero that is drawn often enough is a denominator: then no interval is finite.
    enough = min(top.size, bottom.size) >= LEAST_REPEATS and bool(np.all(bottom != 0))
    low, high = _interval((top, bottom), _ratio_of_medians) if enough else (None, None)
    value = float(np.median(top) / np.median(bottom))
    return Estimate(value, low, high, int(min(top.size, bottom.size)))


def _ratio_of_medians(top: Any, bottom: Any, axis: int = -1) -> Any:
    return np.median(top, axis=axis) / np.median(bottom, axis=axis)


def _interval(samples: tuple[Any, ...], statistic: Any) -> tuple[float, float]:
    if all(np.ptp(sample) == 0 for sample in samples):
        constant = float(statistic(*samples))
        return constant, constant
    from scipy import stats  # 0.5 s: only when there is an interval to compute

    # Percentile: the other methods need a jackknife, which a median of few values has none of.
    result = stats.bootstrap(
        samples,
        statistic,
        confidence_level=LEVEL,
        n_resamples=RESAMPLES,
        method="percentile",
        vectorized=True,
        rng=np.random.default_rng(SEED),
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)
