"""What a training reached after each epoch: `epochs.parquet` of an attempt, one row per epoch."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from streambed.errors import StreambedError
from streambed.results.files import atomic

FILE = "epochs.parquet"


@dataclass(frozen=True)
class EpochRun:
    """One epoch, as rank 0 told it; of spark-mlp one iteration, of which only `loss` is known."""

    epoch: int
    """From 1 on."""
    loss: float
    """Mean over its images, while they were trained."""
    ranks: int
    stretch: int
    """Which start of all ranks: more than 1 after a loss."""
    updates: int | None = None
    """Since the beginning."""
    images: int | None = None
    """Of this epoch."""
    test_loss: float | None = None
    top1: float | None = None
    top5: float | None = None
    train_s: float | None = None
    evaluate_s: float | None = None
    wait_s: float | None = None
    """Of the updates' time: waiting for other ranks, mean over all of them."""

    @classmethod
    def of_event(cls, event: Mapping[str, Any]) -> Self:
        """From an entry of the curve that program `training` tells."""
        known = {field.name for field in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in event.items() if name in known})


_WHOLE = {"epoch", "ranks", "stretch", "updates", "images"}
_SCHEMA = pa.schema(
    [
        (field.name, pa.int64() if field.name in _WHOLE else pa.float64())
        for field in dataclasses.fields(EpochRun)
    ]
)


def write(path: Path, epochs: Sequence[EpochRun]) -> None:
    """Replace the table of an attempt atomically."""
    rows = [dataclasses.asdict(epoch) for epoch in epochs]
    with atomic(path) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), temporary, compression="zstd")


def read(path: Path) -> list[EpochRun]:
    """The epochs, in the order of writing.

    Raises:
        StreambedError: the file is missing, damaged, or holds something else.
    """
    try:
        return [EpochRun(**row) for row in pq.read_table(path).to_pylist()]
    except (OSError, pa.ArrowException, TypeError) as error:
        raise StreambedError(f"{path}: not a table of epochs: {error}") from error
