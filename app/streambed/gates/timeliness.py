"""Open mode: latencies mean something when clocks agree and the lag does not grow."""

from collections.abc import Mapping

import numpy as np

from streambed.gates.reading import Reading
from streambed.results.lag import TOLERATED, Growth
from streambed.results.latency import Parts

CLOCK_ROUNDING_S = 0.002
"""Kafka keeps milliseconds, rounded down at both ends of an interval."""


def clocks_agree(parts: Parts, apart_s: Mapping[str, float] | None = None) -> Reading:
    """No part of the latency, each the difference of two nodes' clocks, has a median below zero.

    Clocks that are off by less than the part itself pass: only what is impossible is seen.

    Args:
        parts: of the latency.
        apart_s: part → how far the clocks that it compares may differ, as measured.
    """
    allowed = {name: CLOCK_ROUNDING_S + (apart_s or {}).get(name, 0.0) for name in parts.by_name()}
    margins = {
        name: float(np.median(times_s)) + allowed[name]
        for name, times_s in parts.by_name().items()
        if times_s.size
    }
    least = min(margins, key=lambda name: margins[name], default=None)
    if least is None:
        return Reading("clocks_agree", ok=False, measured="no image was followed", expected="some")
    return Reading(
        gate="clocks_agree",
        ok=margins[least] >= 0,
        measured=round(margins[least] - allowed[least], 4),
        expected=f"at least {-allowed[least]:g} for the shortest part of the latency ({least})",
        unit="s",
    )


def clocks_close(apart_s: float, latency_s: float | None) -> Reading:
    """The clocks at both ends of a latency may differ by less than its median, seconds."""
    return Reading(
        gate="clocks_close",
        ok=latency_s is not None and apart_s <= max(0.0, latency_s),
        measured=round(apart_s, 6),
        expected="less than the latency"
        + (", of which there is none" if latency_s is None else f"'s median, {latency_s:.4g}"),
        unit="s",
    )


def lag_settled(
    growth: Growth | None, rate_per_s: float, most_per_s: float | None = None
) -> Reading:
    """Lag grew by no more than 1 % of the offered rate (images/s), or its interval allows that.

    While it grows, latency tells how long the cell was rather than how quick the system is.

    Args:
        growth: of the lag.
        rate_per_s: offered.
        most_per_s: of a cell that is long enough to tell: its growth is surely no more than this.
    """
    if most_per_s is not None and growth is not None:
        return Reading(
            gate="lag_settled",
            ok=growth.high_per_s <= most_per_s,
            measured=round(growth.high_per_s, 3),
            expected=f"at most {most_per_s:.3f}, which is one trigger's images in the window, with "
            f"the interval's high end (slope {growth.slope_per_s:.3f})",
            unit="images/s",
        )
    limit = TOLERATED * rate_per_s
    return Reading(
        gate="lag_settled",
        ok=growth is not None and growth.low_per_s <= limit,
        measured="too few micro-batches" if growth is None else round(growth.slope_per_s, 1),
        expected=f"at most {limit:.1f}, or an interval that reaches there"
        + ("" if growth is None else f" ({growth.low_per_s:.1f} to {growth.high_per_s:.1f})"),
        unit="" if growth is None else "images/s",
    )
