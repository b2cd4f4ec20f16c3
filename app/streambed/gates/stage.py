"""Gate 6 for an ablation: a stage did to every image what its name says."""

from collections.abc import Mapping, Sequence
from typing import Any

from streambed.gates.reading import Reading

BATCH_TOLERANCE = 0.02
"""Spark cuts a micro-batch by partition, and rounds."""


def read_every_byte(seen: Mapping[str, Any], images: int, payload_bytes: int) -> list[Reading]:
    """What a stage that only reads counted itself, against what the topic holds."""
    return [_images(seen, images), _count("bytes_read", seen["bytes"], images * payload_bytes)]


def packed_every_image(seen: Mapping[str, Any], images: int, record_bytes: int) -> list[Reading]:
    """Images that came back from Python, and the size of what they were packed into.

    Args:
        seen: `images` and `bytes`, summed over all records.
        images: that the topic holds.
        record_bytes: of one image in a packed record; a record's header adds to it.
    """
    size = Reading(
        "records_hold_images",
        ok=seen["bytes"] > images * record_bytes,
        measured=seen["bytes"],
        expected=f"more than {images} x {record_bytes}",
        unit="bytes",
    )
    return [_images(seen, images), size]


def labelled_every_image(
    seen: Mapping[str, Any], images: int, min_accuracy: float | None
) -> list[Reading]:
    """Labels that the stage compared itself: `images`, `mismatches` and `correct` are counts."""
    readings = [_images(seen, images)]
    readings.append(
        Reading(
            "labels_as_offline",
            ok=seen["mismatches"] == 0,
            measured=seen["mismatches"],
            expected="0 labels other than the model's own, computed offline",
        )
    )
    if min_accuracy is not None:
        accuracy = seen["correct"] / images
        readings.append(
            Reading(
                "accuracy",
                ok=accuracy >= min_accuracy,
                measured=round(accuracy, 4),
                expected=f"at least {min_accuracy:g}",
            )
        )
    return readings


def batches_hold(rows: Sequence[int], micro_batch_images: int) -> Reading:
    """All micro-batches but the last have the size that the cell asks for."""
    off = [count for count in rows[:-1] if abs(count / micro_batch_images - 1) > BATCH_TOLERANCE]
    return Reading(
        "micro_batch_images",
        ok=len(rows) > 1 and not off,
        measured=off[0] if off else max(rows, default=0),
        expected=f"{micro_batch_images} within {BATCH_TOLERANCE:.0%} in all batches but the last",
        unit="images",
    )


def _images(seen: Mapping[str, Any], images: int) -> Reading:
    return _count("images_processed", seen["images"], images)


def _count(gate: str, measured: int, expected: int) -> Reading:
    return Reading(gate, ok=measured == expected, measured=measured, expected=f"{expected}")
