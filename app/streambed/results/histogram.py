"""Latency histograms that merge across repeats and cells (HdrHistogram, its own encoded form).

Percentiles of several attempts cannot be averaged; their histograms can be added. Resolution is
the clock's, 1 ms, or 3 significant digits where that is coarser.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from hdrh.histogram import HdrHistogram

from streambed.errors import StreambedError
from streambed.results.files import write_text
from streambed.results.latency import Percentiles
from streambed.results.samples import Floats

NAME = "latency.hdr"
"""The file in an attempt's directory: base64 text, as HdrHistogram's tools read it; unit: 1 ms."""

MOST_MS = 24 * 3600 * 1000
DIGITS = 3


def of(latencies_s: Floats) -> HdrHistogram:
    """A histogram of latencies (float64[n], seconds, at most a day).

    A latency below zero, which rounded clocks may show, counts as zero.
    """
    histogram = _empty()
    milliseconds = np.clip(np.rint(latencies_s * 1000), 0, MOST_MS).astype(np.int64)
    for value, count in zip(*np.unique(milliseconds, return_counts=True), strict=True):
        histogram.record_value(int(value), int(count))
    return histogram


def save(histogram: HdrHistogram, directory: Path) -> None:
    """Keep the histogram of an attempt beside its raw data."""
    write_text(directory / NAME, histogram.encode().decode("ascii") + "\n")


def merged(directories: Iterable[Path]) -> HdrHistogram:
    """One histogram over attempts; those without latencies (closed mode) add nothing.

    Raises:
        StreambedError: a file is damaged.
    """
    total = _empty()
    for directory in directories:
        path = directory / NAME
        if not path.exists():
            continue
        try:
            total.decode_and_add(path.read_text("ascii").strip())
        except Exception as error:  # noqa: BLE001 (the library lets errors of zlib and base64 out)
            raise StreambedError(f"{path}: damaged, or no latency histogram: {error!r}") from error
    return total


def percentiles(histogram: HdrHistogram) -> Percentiles | None:
    """Percentiles of a histogram; None when it is empty."""
    if not histogram.get_total_count():
        return None
    p50, p95, p99, largest = (
        histogram.get_value_at_percentile(p) / 1000 for p in (50, 95, 99, 100)
    )
    return Percentiles(p50, p95, p99, largest)


def _empty() -> HdrHistogram:
    return HdrHistogram(1, MOST_MS, DIGITS)
