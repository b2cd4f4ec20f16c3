"""What a cell leaves behind, as arrays: the input of every figure. Times are unix seconds."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


def _same_length(name: str, *arrays: npt.NDArray[Any]) -> None:
    shapes = [array.shape for array in arrays]
    if any(len(shape) != 1 or shape != shapes[0] for shape in shapes):
        raise ValueError(f"{name}: arrays [n] of one length are needed, got {shapes}")


def binned_means(after_s: Floats, values: Floats, every_s: float) -> tuple[Counts, Floats]:
    """Means over bins of `every_s` seconds: (number of the bin, mean), of bins that have a value.

    Args:
        after_s: float64[n], seconds since the first bin began, in any order.
        values: float64[n].
        every_s: length of a bin.
    """
    bins = (after_s // every_s).astype(np.int64)
    filled, where, counts = np.unique(bins, return_inverse=True, return_counts=True)
    return filled, np.bincount(where, weights=values) / counts


@dataclass(frozen=True)
class Appends:
    """Results as they were appended to the result topic.

    `at_s` float64[n]: the broker's append time of a result record; `images` int64[n]: how many
    images it is the first to classify (duplicates do not count twice). Any order.
    """

    at_s: Floats
    images: Counts

    def __post_init__(self) -> None:
        _same_length("appends", self.at_s, self.images)


@dataclass(frozen=True)
class Batches:
    """Micro-batches in the order they ran.

    `started_at_s` float64[n]; `execution_s` float64[n]: processing time, queueing excluded;
    `rows` int64[n]: images in the batch. A trigger without data has no entry, or one of 0 rows.
    `queued_s` float64[n]: how long a batch that was cut at its tick waited for the ones before it;
    None where a batch takes all that has arrived when it starts.
    """

    started_at_s: Floats
    execution_s: Floats
    rows: Counts
    queued_s: Floats | None = None

    def __post_init__(self) -> None:
        queued = () if self.queued_s is None else (self.queued_s,)
        _same_length("batches", self.started_at_s, self.execution_s, self.rows, *queued)

    @property
    def ended_at_s(self) -> Floats:
        """float64[n], unix seconds."""
        return self.started_at_s + self.execution_s

    @classmethod
    def of_events(cls, events: Iterable[Mapping[str, Any]]) -> Self:
        """From the `batch` events of the classifier: started_at, execution_s, rows, due_at."""
        kept = sorted(events, key=lambda event: float(event["started_at"]))
        return cls(
            started_at_s=np.array([event["started_at"] for event in kept], np.float64),
            execution_s=np.array([event["execution_s"] for event in kept], np.float64),
            rows=np.array([event["rows"] for event in kept], np.int64),
            queued_s=np.array([event["started_at"] - event["due_at"] for event in kept], np.float64)
            if kept and all("due_at" in event for event in kept)
            else None,
        )

    def filled(self) -> "Batches":
        """Only the batches that had images."""
        return self.where(self.rows > 0)

    def where(self, keep: npt.NDArray[np.bool_]) -> "Batches":
        """Only the batches that `keep` bool[n] names."""
        queued = None if self.queued_s is None else self.queued_s[keep]
        return Batches(self.started_at_s[keep], self.execution_s[keep], self.rows[keep], queued)


@dataclass(frozen=True)
class Sending:
    """What the producer did: `images` from first to last send; the last one acknowledged when."""

    first_send_at: float
    last_send_at: float
    last_ack_at: float
    images: int

    @property
    def rate_per_s(self) -> float:
        """Images acknowledged per second, mean over the whole sending time."""
        return self.images / (self.last_ack_at - self.first_send_at)
