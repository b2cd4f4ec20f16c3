"""When and where each chunk of a batch ran: `chunks.parquet` of an attempt, one row per chunk."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from streambed.errors import StreambedError
from streambed.results.files import atomic

FILE = "chunks.parquet"
_OF_TYPE = {int: pa.int64(), float: pa.float64(), str: pa.string()}


@dataclass(frozen=True)
class ChunkRun:
    """One chunk, as it reported itself; executor, node and task's times as the event log says."""

    chunk: int
    partition: int
    node: str
    """Name of the node in the inventory."""
    executor: str
    host: str
    """As the chunk saw it."""
    pid: int
    """Of the Python worker."""
    task: int
    """Spark's id of the task."""
    attempt: int
    """From 0 on; more than 0: the task was tried again."""
    start_s: float
    """Unix seconds."""
    end_s: float
    images: int
    correct: int
    mismatches: int

    @property
    def duration_s(self) -> float:
        """On its thread."""
        return self.end_s - self.start_s


_SCHEMA = pa.schema([(f.name, _OF_TYPE[f.type]) for f in dataclasses.fields(ChunkRun)])  # type: ignore[index]


def write(path: Path, runs: Sequence[ChunkRun]) -> None:
    """Replace the table of an attempt atomically."""
    rows = [dataclasses.asdict(run) for run in runs]
    with atomic(path) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), temporary, compression="zstd")


def read(path: Path) -> list[ChunkRun]:
    """The chunks, in the order of writing.

    Raises:
        StreambedError: the file is missing, damaged, or holds something else.
    """
    try:
        return [ChunkRun(**row) for row in pq.read_table(path).to_pylist()]
    except (OSError, pa.ArrowException, TypeError) as error:
        raise StreambedError(f"{path}: not a table of chunks: {error}") from error
