"""What a gate saw, and whether it lets the result through."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Reading:
    """One gate's verdict with the evidence.

    `measured` and `expected` are in the unit that `unit` names; `flag` is set on gates that mark
    a row instead of failing it.
    """

    gate: str
    ok: bool
    measured: float | int | str | None
    expected: str
    unit: str = ""
    flag: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The reading as it stands in a result row."""
        return {
            "ok": self.ok,
            "measured": self.measured,
            "expected": self.expected,
            "unit": self.unit,
        }

    def reason(self) -> str:
        """The reading in words, for a failed row."""
        return f"{self.gate}: measured {self.measured} {self.unit}".rstrip() + (
            f", expected {self.expected}"
        )


def failed_reasons(readings: Iterable[Reading]) -> list[str]:
    """Why the result does not count; empty when every gate that can fail it holds."""
    return [r.reason() for r in readings if not r.ok and r.flag is None]


def raised_flags(readings: Iterable[Reading]) -> list[str]:
    """Flags of the gates that did not hold, each once, sorted."""
    return sorted({r.flag for r in readings if not r.ok and r.flag is not None})
