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
    """

    started_at_s: Floats
    execution_s: Floats
    rows: Counts

    def __post_init__(self) -> None:
        _same_length("batches", self.started_at_s, self.execution_s, self.rows)

    @classmethod
    def of_events(cls, events: Iterable[Mapping[str, Any]]) -> Self:
        """From the `batch` events of the classifier: started_at, execution_s, rows."""
        kept = sorted(events, key=lambda event: float(event["started_at"]))
        return cls(
            started_at_s=np.array([event["started_at"] for event in kept], np.float64),
            execution_s=np.array([event["execution_s"] for event in kept], np.float64),
            rows=np.array([event["rows"] for event in kept], np.int64),
        )

    def filled(self) -> "Batches":
        """Only the batches that had images."""
        keep = self.rows > 0
        return Batches(self.started_at_s[keep], self.execution_s[keep], self.rows[keep])


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
