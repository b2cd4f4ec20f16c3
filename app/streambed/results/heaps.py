"""What was alive in the JVMs of a long cell, after each collection: `heaps.json` of an attempt."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from streambed.results.files import write_text
from streambed.results.samples import Floats

FILE = "heaps.json"

Series = Mapping[tuple[str, str], tuple[Floats, Floats]]
"""(node, group) → (unix seconds, bytes), each float64[n]."""


@dataclass(frozen=True)
class Heap:
    """One JVM after one collection; `at_s` in unix seconds."""

    at_s: float
    node: str
    group: str
    live_bytes: int


def write(path: Path, heaps: Iterable[Heap]) -> None:
    """Keep them, a list of objects."""
    write_text(path, json.dumps([asdict(heap) for heap in heaps], indent=1) + "\n")


def read(path: Path) -> Series:
    """By node and group; nothing of a cell in which nobody collected."""
    if not path.exists():
        return {}
    found: dict[tuple[str, str], dict[float, int]] = defaultdict(lambda: defaultdict(int))
    for each in json.loads(path.read_text()):
        heap = Heap(**each)
        # Two JVMs of a group hold what both of them hold.
        found[heap.node, heap.group][heap.at_s] += heap.live_bytes
    return {
        key: (np.array(sorted(held), np.float64), np.array([held[at] for at in sorted(held)], float))
        for key, held in found.items()
    }
