"""What limited a result: rules over its figures, in order; the first that applies decides.

1. *link*: the images fill the link (uncompressed), or its frames do: nothing else can be the
   bottleneck, whatever else was busy.
2. *not shown*: others took the processors, or something died: what was measured is not the bed's.
3. *offered rate*: open mode, and all that was offered came out: nothing was at its limit.
4. *processing*: a micro-batch takes its trigger or longer, so that images wait for Spark.
5. *producer*: micro-batches are done in time, and the producer has no headroom.
6. *not shown*: what is left; which figure would have been needed is said.
"""

from dataclasses import dataclass
from enum import StrEnum

from streambed.results.row import Flag, Flat

FILLS = 0.95
"""Share of the measured goodput from which the link limits. Of images the ceiling is about 0.976:
each has an 8-byte key, and batches have headers."""

KEPT_UP = 0.98
"""Part of an offered rate from which it counts as kept up with."""

ON_TIME = 0.9
"""Part of the trigger below which a micro-batch leaves Spark waiting; up to 1 it is too close to
call from a mean."""


class Limit(StrEnum):
    """What may limit a result."""

    LINK = "link"
    OFFERED = "offered rate"
    PROCESSING = "processing"
    PRODUCER = "producer"
    NOT_SHOWN = "not shown"


@dataclass(frozen=True)
class Judgement:
    """What limited one result, and the figure that shows it."""

    limit: Limit
    because: str


def judge(row: Flat) -> Judgement:
    """What limited a row that is ok, by the rules above."""
    return (
        _link(row)
        or _disturbed(row)
        or _offered(row)
        or _processing(row)
        or _producer(row)
        or Judgement(Limit.NOT_SHOWN, "micro-batches are done in time and the link has room")
    )


def overrun(row: Flat) -> float | None:
    """Mean micro-batch time over trigger; below 1 the system is real-time."""
    took, trigger = row.get("micro_batch_mean_s"), row.get("trigger_s")
    return None if took is None or not trigger else float(took) / float(trigger)


def headroom(row: Flat) -> float | None:
    """The producer's unshaped rate over the image rate."""
    own, rate = row.get("producer_unshaped_rate_per_s"), row.get("image_rate_per_s")
    return None if own is None or not rate else float(own) / float(rate)


def _link(row: Flat) -> Judgement | None:
    images, frames = row.get("link_utilisation"), row.get("link_share_max")
    if images is not None and row.get("compression", "none") == "none" and images >= FILLS:
        return Judgement(Limit.LINK, f"images fill {100 * images:.1f} % of the goodput")
    if frames is not None and frames >= FILLS:
        return Judgement(Limit.LINK, f"frames fill {100 * frames:.1f} % of the link")
    return None


def _disturbed(row: Flat) -> Judgement | None:
    for flag, why in (
        (Flag.DISTURBED, "something died during the cell"),
        (Flag.CONTENDED, "others took the processors during the cell"),
    ):
        if flag in row["flags"]:
            return Judgement(Limit.NOT_SHOWN, why)
    return None


def _offered(row: Flat) -> Judgement | None:
    offered, rate = row.get("offered_rate_images_per_s"), row.get("image_rate_per_s")
    share, sustainable = row.get("sustainable_share"), row.get("sustainable_rate_per_s")
    if share is not None and sustainable is not None:
        offered = share * sustainable
    if not isinstance(offered, int | float) or rate is None or rate < KEPT_UP * offered:
        return None
    return Judgement(Limit.OFFERED, f"{100 * rate / offered:.1f} % of the offered rate came out")


def _processing(row: Flat) -> Judgement | None:
    ratio = overrun(row)
    if ratio is None:
        return Judgement(Limit.NOT_SHOWN, "there is no micro-batch time")
    if ratio >= 1:
        return Judgement(Limit.PROCESSING, f"a micro-batch takes {ratio:.2f} of its trigger")
    if ratio > ON_TIME:
        return Judgement(Limit.NOT_SHOWN, f"a micro-batch takes {ratio:.2f} of its trigger")
    return None


def _producer(row: Flat) -> Judgement | None:
    ratio = headroom(row)
    if Flag.DRIVER_BOUND not in row["flags"] or ratio is None:
        return None
    return Judgement(Limit.PRODUCER, f"unshaped it manages {ratio:.1f} times the image rate")
