"""From the raw arrays of an attempt to one entry per image: its first result."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from streambed.results.samples import Appends, Counts, Floats


@dataclass(frozen=True)
class FirstResults:
    """The images that count and have a result, ascending by id; times are unix seconds.

    Of several results of one id the first appended counts. `image_id` int64[n]; `intended_at_s`
    float64[n]: when the image was meant to be sent; `received_at_s`, `compute_s` float64[n]: when
    the Python worker had it, and the time of the model's call it was in; `append_at_s` float64[n]:
    the broker's append time of the result.
    """

    image_id: Counts
    intended_at_s: Floats
    received_at_s: Floats
    compute_s: Floats
    append_at_s: Floats

    def appends(self) -> Appends:
        """The results one by one, as the image rate counts them."""
        return Appends(self.append_at_s, np.ones(len(self.image_id), np.int64))


def load(path: Path, images: int) -> FirstResults:
    """Read the collector's npz (see `pipelines/collect.py`).

    Args:
        path: the npz of one attempt.
        images: ids below this count; others belong to the warm-up.
    """
    with np.load(path) as arrays:
        ids = arrays["image_id"]
        record = arrays["image_record"]
        intended_ms = arrays["image_intended_ms"]
        append_ms = arrays["record_append_ms"]
        received_at = arrays["record_received_at"]
        compute_s = arrays["record_compute_s"]
    counted = np.flatnonzero(ids < images)
    by_time = counted[np.argsort(append_ms[record[counted]], kind="stable")]
    unique, position = np.unique(ids[by_time], return_index=True)
    chosen = by_time[position]
    of_record = record[chosen]
    return FirstResults(
        image_id=unique.astype(np.int64),
        intended_at_s=intended_ms[chosen] / 1000,
        received_at_s=received_at[of_record],
        compute_s=compute_s[of_record],
        append_at_s=append_ms[of_record] / 1000,
    )


def retried_records(path: Path) -> int:
    """Result records of the collector's npz that a repeated task wrote."""
    with np.load(path) as arrays:
        return int(np.count_nonzero(arrays["record_attempt"]))


def calls(path: Path) -> list[tuple[int, int, int]]:
    """Micro-batch, partition and number of images of each record that no repeated task wrote."""
    with np.load(path) as arrays:
        first = arrays["record_attempt"] == 0
        columns = [arrays[f"record_{name}"][first] for name in ("batch_id", "partition", "count")]
    return list(zip(*(column.tolist() for column in columns), strict=True))
