"""Gate 2: every image sent came out, once, with the label the model gives offline."""

import textwrap
from collections.abc import Mapping
from typing import Any

from streambed.gates.reading import Reading

_REASONS_TOLD = 3
_REASON_CHARACTERS = 200


def acknowledged(sent: int, acked: int) -> Reading:
    """Images that the broker acknowledged, of those handed to the producer's client."""
    return Reading("images_acknowledged", ok=acked == sent, measured=acked, expected=f"{sent}")


def judge(
    sent: int, acked: int, seen: Mapping[str, Any], min_accuracy: float | None
) -> list[Reading]:
    """Compare what was sent with what the collector saw.

    Args:
        sent: images handed to the producer's client.
        acked: images the broker acknowledged.
        seen: the collector's `done` event: `unique`, `duplicates`, `lost`, `unknown_ids`,
            `mismatches`, `accuracy`; `set_aside`, where there is one, tells why images were lost.
        min_accuracy: the fraction of right labels below which something is wrong; None: any.
    """
    accuracy = seen.get("accuracy")
    readings = [
        acknowledged(sent, acked),
        Reading("images_lost", ok=seen["lost"] == 0, measured=_lost(seen), expected="0"),
        Reading(
            "results_unknown",
            ok=seen["unknown_ids"] == 0,
            measured=seen["unknown_ids"],
            expected="0 results for images that were never sent",
        ),
        Reading(
            "results_duplicate",
            ok=seen["duplicates"] == 0,
            measured=seen["duplicates"],
            expected="0",
        ),
        Reading(
            "labels_as_offline",
            ok=seen["mismatches"] == 0,
            measured=seen["mismatches"],
            expected="0 labels other than the model's own, computed offline",
        ),
    ]
    if accuracy is not None and min_accuracy is not None:
        readings.append(
            Reading(
                "accuracy",
                ok=accuracy >= min_accuracy,
                measured=round(accuracy, 4),
                expected=f"at least {min_accuracy:g}",
            )
        )
    return readings


def _lost(seen: Mapping[str, Any]) -> int | str:
    """How many, and why where that is known."""
    lost: int = seen["lost"]
    aside: Mapping[str, int] = seen.get("set_aside") or {}
    return f"{lost}; set aside: {why(aside)}" if lost and aside else lost


def why(aside: Mapping[str, int]) -> str:
    """Of what was set aside (reason → records) the most frequent reasons."""
    often = sorted(aside.items(), key=lambda reason: -reason[1])
    told = [
        f"{textwrap.shorten(reason, _REASON_CHARACTERS)} ({count})"
        for reason, count in often[:_REASONS_TOLD]
    ]
    more = f", {len(often) - len(told)} more reasons" if len(often) > len(told) else ""
    return f"{', '.join(told)}{more}"
