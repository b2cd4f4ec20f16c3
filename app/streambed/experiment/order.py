"""The order of execution: each repeat is a block, shuffled by itself with a recorded seed.

Blocks spread slow drifts of the machine (heat, neighbours) over all cells alike; the shuffle
inside a block keeps a cell from always following the same other one.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from streambed.experiment.cells import Cell, config_hash


@dataclass(frozen=True)
class Execution:
    """One cell, once; `repeat` counts from 1."""

    cell: Cell
    repeat: int

    @property
    def key(self) -> tuple[str, int]:
        """What tells executions of a run apart."""
        return self.cell.id, self.repeat


def default_seed(cells: Sequence[Cell]) -> int:
    """From what is measured, so that `plan` shows the order that `run` will take."""
    return int(config_hash(tuple(cells))[:8], 16)


def order(cells: Sequence[Cell], repeats: int, seed: int | None = None) -> tuple[Execution, ...]:
    """Every execution in order. A larger `repeats` only appends blocks."""
    generator = random.Random(default_seed(cells) if seed is None else seed)
    executions: list[Execution] = []
    for repeat in range(1, repeats + 1):
        block = sorted(cells, key=lambda cell: cell.identity)
        generator.shuffle(block)
        executions += [Execution(cell, repeat) for cell in block]
    return tuple(executions)
