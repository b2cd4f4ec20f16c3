"""The order of execution: each repeat is a block, shuffled by itself with a recorded seed.

Blocks spread slow drifts of the machine (heat, neighbours) over all cells alike; the shuffle
inside a block keeps a cell from always following the same other one.

Cells that share something costly (a Spark application, see `Configuration.shared`) follow each
other within a repeat: what is shuffled there are such groups, and the cells within each. So a drift
that is shorter than a repeat may show as a difference between groups, never for long as one between
cells of a group; the next repeat has another order of both.
"""

import random
from collections.abc import Hashable, Sequence
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
        groups = _sharing(cells)
        generator.shuffle(groups)
        for group in groups:
            generator.shuffle(group)
            executions += [Execution(cell, repeat) for cell in group]
    return tuple(executions)


def _sharing(cells: Sequence[Cell]) -> list[list[Cell]]:
    """The cells by what they share, whatever their order was; most share nothing."""
    groups: dict[Hashable, list[Cell]] = {}
    for cell in sorted(cells, key=lambda cell: cell.identity):
        groups.setdefault(cell.shared, []).append(cell)
    return list(groups.values())
