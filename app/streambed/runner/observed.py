"""What a streaming cell saw, step by step, before figures are computed from it."""

from dataclasses import dataclass, field
from typing import Any

from streambed.experiment.cells import Cell
from streambed.gates import Reading, contention
from streambed.gates import goodput as goodputs
from streambed.runner.program import Event


@dataclass
class Observed:
    """Everything a cell gave, before figures are computed from it."""

    cell: Cell
    produced: Event = field(default_factory=dict)
    collected: Event = field(default_factory=dict)
    batches: list[Event] = field(default_factory=list)
    submitted_at: float | None = None
    first_result_at: float | None = None
    goodput: goodputs.Goodput | None = None
    readings: list[Reading] = field(default_factory=list)
    taken: contention.Taken | None = None
    effective: dict[str, Any] = field(default_factory=dict)
    """Configuration that Spark reports as in effect."""
