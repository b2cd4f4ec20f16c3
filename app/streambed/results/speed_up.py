"""Field `speed_up`: what more workers give, filled in when there is something to compare with."""

from collections.abc import Iterable
from statistics import median
from typing import Any

from streambed.results.row import Flat

RATE = "image_rate_per_s"


def fill(rows: Iterable[Flat]) -> None:
    """Fill in the trainings among `rows`, all those of one run: cells that differ in workers only.

    The fewest workers of them have 1; a row that is not ok has none.
    """
    groups: dict[tuple[Any, ...], list[Flat]] = {}
    for row in rows:
        if "speed_up" not in row:
            continue
        row["speed_up"] = None
        if row["status"] == "ok" and row.get(RATE):
            groups.setdefault(same(row), []).append(row)
    for group in groups.values():
        fewest = min(row["workers"] for row in group)
        alone = median(row[RATE] for row in group if row["workers"] == fewest)
        for row in group:
            row["speed_up"] = row[RATE] / alone


def same(row: Flat) -> tuple[Any, ...]:
    """What a training is but for its workers."""
    names = ("engine", "batch_size", "epochs", "iterations", "ranks", "augment", "dataset", "seed")
    return tuple(row.get(name) for name in names)
