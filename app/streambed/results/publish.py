"""The best weights of a run of trainings, where the next command finds them."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from streambed.results.files import atomic
from streambed.results.row import Flat
from streambed.results.run import raw_directory


def publish(directory: Path, rows: Iterable[Flat], name: str) -> Path | None:
    """Copy the weights file `name` of the most accurate training to the run's own directory.

    Args:
        directory: of the run.
        rows: of the run; those that are not ok do not count.
        name: of the file among an attempt's raw samples.

    Returns:
        the copy; None when no training left weights.
    """
    best: tuple[float, Path] | None = None
    for row in rows:
        source = raw_directory(directory, row["cell"], row["repeat"], row["attempt"]) / name
        if row["status"] == "ok" and row.get("top1") is not None and source.is_file():
            found = (float(row["top1"]), source)
            best = found if best is None or found[0] > best[0] else best
    if best is None:
        return None
    target = directory / name
    with atomic(target) as temporary:
        shutil.copyfile(best[1], temporary)
    return target
