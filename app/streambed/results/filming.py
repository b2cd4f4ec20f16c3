"""What became of each camera's frames: order, latency, fairness; `cameras.parquet` of an attempt.

Frame k of camera c has id k * cameras + c. Latency runs from the time at which a frame was due to
its arrival in a consumer's hands; both clocks must agree. Percentiles are of HdrHistograms, one for
each camera, kept in the table as base64 text, and of all of them together.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from streambed.errors import StreambedError
from streambed.results import histogram
from streambed.results.files import atomic
from streambed.results.samples import Counts, Floats

FILE = "cameras.parquet"


@dataclass(frozen=True)
class Arrivals:
    """Frames as one consumer got them, in that order.

    `frame` int64[n]: ids; `due_at_s`, `received_at_s` float64[n]: unix seconds.
    """

    frame: Counts
    due_at_s: Floats
    received_at_s: Floats

    @classmethod
    def load(cls, path: Path) -> "Arrivals":
        """Read the npz of node program `read`."""
        with np.load(path) as arrays:
            return cls(
                arrays["image_id"].astype(np.int64),
                arrays["intended_ms"] / 1000,
                arrays["received_at"],
            )


@dataclass(frozen=True)
class Camera:
    """One camera's row of the table; latencies in seconds, None without a frame."""

    camera: int
    frames: int
    on_time: int
    """Frames that arrived within a frame's time."""
    p50_s: float | None
    p99_s: float | None
    max_s: float | None
    histogram: str
    """Base64 text, as HdrHistogram's tools read it; unit: 1 ms."""


_SCHEMA = pa.schema(
    [
        *((name, pa.int64()) for name in ("camera", "frames", "on_time")),
        *((name, pa.float64()) for name in ("p50_s", "p99_s", "max_s")),
        ("histogram", pa.string()),
    ]
)


def reordered(arrivals: Arrivals, cameras: int) -> int:
    """Frames whose first copy came after a later frame of the same camera."""
    _, first = np.unique(arrivals.frame, return_index=True)
    frame = arrivals.frame[np.sort(first)]
    camera, number = frame % cameras, frame // cameras
    # Stable: within a camera the order of arrival stays.
    order = np.argsort(camera, kind="stable")
    starts = np.flatnonzero(np.diff(camera[order])) + 1
    return sum(
        int(np.count_nonzero(mine < np.maximum.accumulate(mine)))
        for mine in np.split(number[order], starts)
        if len(mine)
    )


def first_of_each(consumers: Sequence[Arrivals], first_frame: int) -> Arrivals:
    """The first arrival of each frame from `first_frame` on, of all consumers together."""
    frame = np.concatenate([each.frame for each in consumers])
    due_at_s = np.concatenate([each.due_at_s for each in consumers])
    received_at_s = np.concatenate([each.received_at_s for each in consumers])
    by_time = np.argsort(received_at_s, kind="stable")
    by_time = by_time[frame[by_time] >= first_frame]
    unique, position = np.unique(frame[by_time], return_index=True)
    chosen = by_time[position]
    return Arrivals(unique, due_at_s[chosen], received_at_s[chosen])


def latencies_s(arrivals: Arrivals) -> Floats:
    """float64[n]."""
    found: npt.NDArray[np.float64] = arrivals.received_at_s - arrivals.due_at_s
    return found


def by_camera(arrivals: Arrivals, cameras: int, frame_rate_per_s: float) -> list[Camera]:
    """One entry for each camera, those without any frame included."""
    camera = arrivals.frame % cameras
    times_s = latencies_s(arrivals)
    found = []
    for number in range(cameras):
        mine = times_s[camera == number]
        recorded = histogram.of(mine)
        known = histogram.percentiles(recorded)
        found.append(
            Camera(
                camera=number,
                frames=len(mine),
                on_time=int(np.count_nonzero(mine <= 1 / frame_rate_per_s)),
                p50_s=None if known is None else known.p50_s,
                p99_s=None if known is None else known.p99_s,
                max_s=None if known is None else known.max_s,
                histogram=recorded.encode().decode("ascii"),
            )
        )
    return found


def write(path: Path, cameras: Sequence[Camera]) -> None:
    """Replace the table of an attempt atomically."""
    rows = [dataclasses.asdict(camera) for camera in cameras]
    with atomic(path) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), temporary, compression="zstd")


def read(path: Path) -> list[Camera]:
    """The cameras, by number.

    Raises:
        StreambedError: the file is missing, damaged, or holds something else.
    """
    try:
        return [Camera(**row) for row in pq.read_table(path).to_pylist()]
    except (OSError, pa.ArrowException, TypeError) as error:
        raise StreambedError(f"{path}: not a table of cameras: {error}") from error
