"""A row: one execution of one cell, as it is stored and as `results --json` prints it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from streambed.experiment.cells import Cell
from streambed.results.measures import MEASURES_OF, Measures

Status = Literal["ok", "failed", "interrupted"]

Flat = dict[str, Any]
"""A row as one mapping: field → JSON-ready value; `gates` is nested, `flags` a list."""


class Flag(StrEnum):
    """What a reader must know about a result that still counts."""

    DISTURBED = "disturbed"
    """Something died that was not an injected fault."""
    DRIVER_BOUND = "driver_bound"
    """The producer had no headroom, so it may be what was measured."""
    CONTENDED = "contended"
    """Others took more of the processors than the limit."""
    NOT_REPRESENTATIVE = "not_representative"
    """The mode's own condition does not hold."""


HEAD = ("status", "flags", "attempt", "repeat", "cell")
TAIL = ("reason", "started_at", "ended_at", "gates")
"""The fields around factors and figures."""


@dataclass(frozen=True)
class Row:
    """The outcome of one attempt at one execution.

    `started_at` and `ended_at` are unix seconds; `gates` holds each gate's readings by its name,
    JSON-ready; `reason` says why a row is not ok.
    """

    cell: Cell
    repeat: int
    attempt: int
    status: Status
    started_at: float
    ended_at: float
    measures: Measures | None = None
    flags: frozenset[Flag] = frozenset()
    reason: str | None = None
    gates: Mapping[str, Any] = field(default_factory=dict)

    def flat(self) -> Flat:
        """The row as one mapping of JSON-ready values."""
        if self.status != "ok" and not self.reason:
            raise ValueError(f"a row that is {self.status} needs a reason")
        measures = self.measures or MEASURES_OF[self.cell.pipeline]()
        row: Flat = plain(
            {
                "status": self.status,
                "flags": sorted(str(flag) for flag in self.flags),
                "attempt": self.attempt,
                "repeat": self.repeat,
                "cell": self.cell.id,
                **self.cell.fields(),
                **measures.as_fields(),
                "reason": self.reason,
                "started_at": self.started_at,
                "ended_at": self.ended_at,
                "gates": dict(self.gates),
            }
        )
        return row


def plain(value: Any) -> Any:
    """JSON-ready: NumPy scalars and arrays unwrapped, NaN and infinities None, keys text."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, set | frozenset):
        return sorted(plain(inner) for inner in value)
    if hasattr(value, "tolist"):  # NumPy, without importing it here
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)
