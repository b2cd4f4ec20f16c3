"""How long a fault was felt: from it until results come in time and without a pause again."""

from dataclasses import dataclass

import numpy as np

from streambed.results.first_results import FirstResults


SETTLING_S = 5.0
"""The first micro-batches of a cell, which come after a pause, do not tell how it was before."""


@dataclass(frozen=True)
class Recovery:
    """`recovery_s`: 0 when nothing was felt; None when it lasted to the end of the cell."""

    recovery_s: float | None
    latency_limit_s: float
    pause_limit_s: float


class NoPeace(ValueError):
    """Too few results came before the fault to know how it was."""


def measure(
    results: FirstResults, fault_at_s: float, trigger_s: float, clocks_s: float = 0.0
) -> Recovery:
    """When the last late result came, or the last pause ended.

    Late is what took longer than anything before the fault and a trigger; a pause is longer than
    any before and a trigger; images of the first seconds are left out of both. Images were meant to be sent at a constant rate, so that a sender that
    stopped is felt as a pause, one that waited as late results.

    Args:
        results: of the images that count.
        fault_at_s: unix seconds, by the clock that results are appended by.
        trigger_s: interval of the micro-batches.
        clocks_s: how far that may be off; results so close to the fault do not count as before it.

    Raises:
        NoPeace: fewer than three results of settled images were appended before the fault.
    """
    order = np.argsort(results.append_at_s, kind="stable")
    appended, intended = results.append_at_s[order], results.intended_at_s[order]
    surely_before_s = fault_at_s - clocks_s
    before = appended < surely_before_s
    settled_at_s = float(intended.min(initial=np.inf)) + SETTLING_S
    peace = before & (intended >= settled_at_s)
    if np.count_nonzero(peace) < 3:
        raise NoPeace(
            f"{np.count_nonzero(peace)} results came before the fault, of images "
            f"{SETTLING_S:g} s after the first and later"
        )
    latency = appended - intended
    pauses, ended = np.diff(appended), appended[1:]
    longest = trigger_s + float(latency[peace].max())
    calm = (ended < surely_before_s) & (appended[:-1] >= settled_at_s)
    pause = trigger_s + float(pauses[calm].max(initial=0.0))
    bad = np.concatenate(
        [
            appended[~before & (latency > longest)],
            ended[(ended >= surely_before_s) & (pauses > pause)],
        ]
    )
    recovered_at = float(bad.max(initial=fault_at_s))
    # Images that were meant to be sent since then have to be there, and in time.
    since = intended >= recovered_at
    if not since.any():
        return Recovery(None, longest, pause)
    return Recovery(recovered_at - fault_at_s, longest, pause)
