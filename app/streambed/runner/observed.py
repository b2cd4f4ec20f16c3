"""What a streaming cell saw, step by step, before figures are computed from it."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from streambed.experiment.cells import Cell
from streambed.gates import Reading, contention, disturbance
from streambed.gates import goodput as goodputs
from streambed.results.clocks import NodeClock
from streambed.runner.faults import Injected
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
    fault: Injected | None = None
    """What was done to the cell."""
    clocks: list[dict[str, NodeClock]] = field(default_factory=list)
    """In open mode: before and after the measured phase."""
    ready: Event = field(default_factory=dict)
    """What the classifier said when its application was up."""
    stopped: Event = field(default_factory=dict)
    """What it said at its end."""
    effective: dict[str, Any] = field(default_factory=dict)
    """Configuration that Spark reports as in effect."""
    began: float = field(default_factory=time.monotonic)
    purposeful_s: float = 0.0
    """Time spent on what the cell is for: cold start, warm-up, gates, the measured phase."""

    @contextlib.contextmanager
    def purpose(self) -> Iterator[None]:
        """What happens inside is what the cell is for, and no overhead of the engine."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.purposeful_s += time.monotonic() - started

    @property
    def engine_s(self) -> float:
        """The rest of the time since the attempt began."""
        return time.monotonic() - self.began - self.purposeful_s
