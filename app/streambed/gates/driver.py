"""Gate 7: the producer has headroom, so that the cell measures the pipeline and not it."""

from streambed.gates.reading import Reading

FILLED = 0.90
"""Part of what the link lets through that a closed-mode producer must really send."""


def headroom(unshaped_rate_per_s: float, send_rate_per_s: float, factor: float) -> Reading:
    """The producer's own rate, unshaped, against what it sent in the cell (images/s)."""
    return Reading(
        gate="driver_headroom",
        ok=unshaped_rate_per_s >= factor * send_rate_per_s,
        measured=round(unshaped_rate_per_s),
        expected=f"at least {factor:g} x {send_rate_per_s:.0f}",
        unit="images/s",
        flag="driver_bound",
    )


def filled_link(send_rate_per_s: float, link_rate_per_s: float) -> Reading:
    """What it sent against what the measured goodput lets through (images/s).

    A producer that starves in mid-cell had headroom when it was probed, and yet the link idled.
    """
    return Reading(
        gate="driver_filled_link",
        ok=send_rate_per_s >= FILLED * link_rate_per_s,
        measured=round(send_rate_per_s),
        expected=f"at least {FILLED:g} x {link_rate_per_s:.0f}",
        unit="images/s",
        flag="driver_bound",
    )
