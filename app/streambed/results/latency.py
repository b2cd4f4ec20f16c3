"""Latency of an image: from its intended send time to the append of its result, and its parts.

The total is taken over every image in the window; the parts over a sample, the images whose
acknowledgement the producer noted. Nothing that was not measured is filled in:

    link        intended send → acknowledged by the broker, as the producer's client saw it
    batch wait  acknowledged → the Python worker had the image
    compute     the call of the model that the image was part of
    sink        end of that call → the broker's append time of the result record

The four add up to the total of that image. They compare clocks of several nodes, which must agree
(gate `clocks_agree`).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from streambed.results.first_results import FirstResults
from streambed.results.samples import Counts, Floats
from streambed.results.window import Window

@dataclass(frozen=True)
class Percentiles:
    """Percentiles of a time, seconds."""

    p50_s: float
    p95_s: float
    p99_s: float
    max_s: float

    @classmethod
    def of(cls, times_s: Floats) -> "Percentiles | None":
        """Of float64[n], by linear interpolation between ranks; None when there are none."""
        if not times_s.size:
            return None
        p50, p95, p99 = np.percentile(times_s, [50, 95, 99])
        return cls(float(p50), float(p95), float(p99), float(times_s.max()))


@dataclass(frozen=True)
class Acknowledged:
    """The producer's sample: `image_id` int64[n], ascending; `acked_at_s` float64[n], unix."""

    image_id: Counts
    acked_at_s: Floats

    @classmethod
    def load(cls, path: Path) -> "Acknowledged":
        """Read the producer's npz (see `pipelines/ack_samples.py`)."""
        with np.load(path) as arrays:
            order = np.argsort(arrays["image_id"], kind="stable")
            return cls(arrays["image_id"][order].astype(np.int64), arrays["acked_at"][order])


@dataclass(frozen=True)
class Parts:
    """The parts of the latency of the same n images, seconds: float64[n] each."""

    link_s: Floats
    batch_wait_s: Floats
    compute_s: Floats
    sink_s: Floats

    def __len__(self) -> int:
        return len(self.link_s)

    def by_name(self) -> dict[str, Floats]:
        """Name of the part → its times, in the order an image goes through them."""
        return {
            "link": self.link_s,
            "batch_wait": self.batch_wait_s,
            "compute": self.compute_s,
            "sink": self.sink_s,
        }


def totals(results: FirstResults, window: Window) -> Floats:
    """Seconds from intended send to append, float64[n], of the images intended in the window."""
    inside = _inside(results, window)
    return results.append_at_s[inside] - results.intended_at_s[inside]


def parts(results: FirstResults, acknowledged: Acknowledged, window: Window) -> Parts:
    """The parts, of the images that were intended in the window and are in the sample."""
    _, of_result, of_ack = np.intersect1d(
        results.image_id, acknowledged.image_id, assume_unique=True, return_indices=True
    )
    inside = _inside(results, window)[of_result]
    chosen, acked_at_s = of_result[inside], acknowledged.acked_at_s[of_ack[inside]]
    received_at_s, compute_s = results.received_at_s[chosen], results.compute_s[chosen]
    return Parts(
        link_s=acked_at_s - results.intended_at_s[chosen],
        batch_wait_s=received_at_s - acked_at_s,
        compute_s=compute_s,
        sink_s=results.append_at_s[chosen] - received_at_s - compute_s,
    )


def _inside(results: FirstResults, window: Window) -> npt.NDArray[np.bool_]:
    at = results.intended_at_s
    return (at >= window.start_s) & (at < window.end_s)
