"""What a streaming cell saw, step by step, before figures are computed from it."""

from dataclasses import dataclass, field
from typing import Any

from streambed.experiment.cells import Cell
from streambed.gates import Reading, contention, disturbance
from streambed.gates import goodput as goodputs
from streambed.runner.program import Event
from streambed.runner.rate_search import Found


@dataclass
class Observed:
    """Everything a cell gave, before figures are computed from it."""

    cell: Cell
    images: int = 0
    """Sent to be counted."""
    rate_per_s: float | None = None
    """At which they were offered; None in closed mode."""
    found: Found | None = None
    """The sustainable rate, where the cell searches it."""
    produced: Event = field(default_factory=dict)
    collected: Event = field(default_factory=dict)
    batches: list[Event] = field(default_factory=list)
    submitted_at: float | None = None
    first_result_at: float | None = None
    goodput: goodputs.Goodput | None = None
    readings: list[Reading] = field(default_factory=list)
    taken: contention.Taken | None = None
    lives: tuple[disturbance.Lives, disturbance.Lives] | None = None
    """What ran as each service before and after the measured phase."""
    ready: Event = field(default_factory=dict)
    """What the classifier said when its application was up."""
    stopped: Event = field(default_factory=dict)
    """What it said at its end."""
    effective: dict[str, Any] = field(default_factory=dict)
    """Configuration that Spark reports as in effect."""
