"""Rows of a report in groups of what is alike, and what stands in them."""

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

from streambed.report.data import ReportData
from streambed.report.statistics import Estimate
from streambed.results.row import Flat


def values(rows: Iterable[Flat], measure: str) -> list[float]:
    """A measure, of the rows that have it."""
    return [float(row[measure]) for row in rows if row.get(measure) is not None]


def middle(rows: Iterable[Flat], measure: str) -> float | None:
    """Its median; None when no row has it."""
    found = values(rows, measure)
    return median(found) if found else None


def typical(rows: Iterable[Flat], measure: str) -> Flat | None:
    """The row in the middle by a measure, the lower one of two; None when no row has it."""
    ranked = sorted((row for row in rows if row.get(measure) is not None), key=lambda r: r[measure])
    return ranked[(len(ranked) - 1) // 2] if ranked else None


def groups(rows: Iterable[Flat], *fields: str) -> list[tuple[tuple[Any, ...], list[Flat]]]:
    """Rows by their levels of some fields, in the order in which those come."""
    found: dict[tuple[Any, ...], list[Flat]] = {}
    for row in rows:
        found.setdefault(tuple(row.get(field) for field in fields), []).append(row)
    return list(found.items())


def alike(rows: Iterable[Flat], data: ReportData, *but: str) -> list[list[Flat]]:
    """Rows that differ in nothing that is varied but these factors, together."""
    others = [field for field in data.varied if field not in but]
    return [same for _, same in groups(rows, *others)]


def times(found: Estimate) -> str:
    """`1.93 times (95 %: 1.88 to 1.97)`."""
    spread = "" if found.low is None else f" (95 %: {found.low:.2f} to {found.high:.2f})"
    return f"{found.median:.2f} times{spread}"


def settings(data: ReportData, row: Flat, fields: Sequence[str]) -> str:
    """Those of a row that are not the default: `, batch 256 KiB, linger 0.05 s`; empty for none."""
    said = ""
    for field in fields:
        factor, level = data.factor(field), row.get(field)
        if factor is not None and level != factor.default:
            said += f", {data.factor_name(field)} {data.show(field, level)}"
    return said
