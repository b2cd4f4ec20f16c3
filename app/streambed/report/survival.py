"""Figure of the injected faults: how long each was felt, and what it cost."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from streambed.report import theme, words
from streambed.report.data import ReportData
from streambed.report.figure import Drawing, figure
from streambed.report.statistics import LEAST_REPEATS, Estimate, estimate
from streambed.report.study import FAULT
from streambed.results.row import Flat

RECOVERY = "recovery_s"

_NOBODY = "no cell survived"
"""Stands where there is nothing to draw."""


def by_fault(rows: Sequence[Flat]) -> dict[str, list[Flat]]:
    """Fault → the cells that were put through it, failed ones too, as the file orders them.

    What the user interrupted is left out.
    """
    found: dict[str, list[Flat]] = {}
    for row in rows:
        if row.get(FAULT) is not None and row["status"] != "interrupted":
            found.setdefault(row[FAULT], []).append(row)
    return found


def sentences(rows: Sequence[Flat]) -> list[str]:
    """What the faults cost; empty without any.

    Args:
        rows: also of cells that failed, since a cell that lost an image is one.
    """
    found = by_fault(rows)
    if not found:
        return []
    return [_felt(found), *_failures(found), _losses(found), *_repeated(found)]


def _felt(found: Mapping[str, Sequence[Flat]]) -> str:
    said = f"{len(found)} fault{'s' if len(found) > 1 else ''} injected"
    medians = {f: value.median for f, each in found.items() if (value := _recovery(each))}
    if not medians:
        return f"{said}."
    slowest = max(medians, key=lambda fault: medians[fault])
    return f"{said}: the longest was felt for {medians[slowest]:.1f} s ({_named(slowest)})."


def _failures(found: Mapping[str, Sequence[Flat]]) -> list[str]:
    failed = {fault: bad for fault, each in found.items() if (bad := _not_ok(each))}
    if not failed:
        return []
    cells = sum(map(len, found.values()))
    lines = [
        f"{_named(fault)} failed in {len(bad)} of {len(found[fault])} "
        f"({str(bad[0]['reason']).partition('; ')[0]})"
        for fault, bad in failed.items()
    ]
    survived = cells - sum(map(len, failed.values()))
    return [f"{survived} of {cells} cells survived: {'; '.join(lines)}."]


def _losses(found: Mapping[str, Sequence[Flat]]) -> str:
    lost = {fault: most for fault, each in found.items() if (most := _most(each, "lost"))}
    if lost:
        counts = ", ".join(f"{_named(fault)} ({most:,} in a cell)" for fault, most in lost.items())
        return f"Images were lost in {counts}."
    untold = sum(row.get("lost") is None for each in found.values() for row in each)
    if untold:
        return f"No image is known to be lost; {untold} did not come so far as to tell."
    return "None of them lost an image."


def _repeated(found: Mapping[str, Sequence[Flat]]) -> list[str]:
    twice = ", ".join(_named(fault) for fault, each in found.items() if _most(each, "duplicates"))
    return [f"Images came out twice in {twice}."] if twice else []


@figure("recovery", "How long a fault is felt", "streaming")
def recovery(data: ReportData) -> Drawing | None:
    """Horizontal bars: seconds of each fault, with intervals; a fault that nobody survived too."""
    found = by_fault(data.rows)
    if not found:
        return None
    known = {fault: _recovery(rows) for fault, rows in found.items()}
    counts = [value.n for value in known.values() if value is not None]
    enough = max(counts, default=0) >= LEAST_REPEATS
    interval = " with the 95 % bootstrap interval" if enough else ""
    spread = f"{words.repeats(counts).capitalize()}{interval}. " if counts else ""
    return Drawing(
        chart=_bars(known),
        caption=(
            "From the fault until no result is late and none is missing any more, at half of the "
            "sustainable rate; a result is late when it takes a trigger longer than the slowest "
            f"before the fault. {spread}{' '.join(sentences(data.rows))}"
        ),
        alternative="; ".join(
            f"{_named(fault)}: {_NOBODY if value is None else f'{value.median:.1f} s'}"
            for fault, value in known.items()
        ),
        table=[
            {
                FAULT: fault,
                f"{RECOVERY}_median": None if value is None else value.median,
                "interval_low": None if value is None else value.low,
                "interval_high": None if value is None else value.high,
                "repeats": len(found[fault]),
                "failed": len(_not_ok(found[fault])),
                "lost_most": _most(found[fault], "lost"),
                "duplicates_most": _most(found[fault], "duplicates"),
            }
            for fault, value in known.items()
        ],
    )


def _recovery(rows: Sequence[Flat]) -> Estimate | None:
    """Of the cells that survived."""
    told = [row for row in rows if row["status"] == "ok" and row.get(RECOVERY) is not None]
    return estimate([float(row[RECOVERY]) for row in told])


def _not_ok(rows: Sequence[Flat]) -> list[Flat]:
    return [row for row in rows if row["status"] != "ok"]


def _most(rows: Sequence[Flat], field: str) -> int | None:
    """The largest count that a cell tells; None when none does."""
    return max((int(row[field]) for row in rows if row.get(field) is not None), default=None)


def _named(fault: str) -> str:
    return fault.replace("_", " ")


def _bars(known: Mapping[str, Estimate | None]) -> Any:
    values = [
        {
            "fault": _named(fault),
            "seconds": 0.0 if value is None else value.median,
            "low": None if value is None else value.low,
            "high": None if value is None else value.high,
            "label": _NOBODY if value is None else f"{value.median:.1f}",
        }
        for fault, value in known.items()
    ]
    order = [_named(fault) for fault in known]
    y = alt.Y("fault:N", sort=order, title=None, axis=alt.Axis(labelLimit=220, ticks=False))
    # Beyond the longest bar there must be room for its number; a scale needs a width even of zeros.
    ends_s = [value.high or value.median for value in known.values() if value is not None]
    most = 1.18 * max([1.0, *ends_s])
    x = alt.X("seconds:Q", title="felt for (s)", scale=alt.Scale(domain=[0, most]))
    base: Any = alt.Chart(alt.InlineData(values=values))
    layers = [base.mark_bar(height={"band": 0.7}, color=theme.PALETTE[0]).encode(x=x, y=y)]
    if any(value["low"] is not None for value in values):
        rule = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=2, color="black")
        layers.append(rule.encode(x="low:Q", x2="high:Q", y=y))
    ends = base.transform_calculate(end="isValid(datum.high) ? datum.high : datum.seconds")
    text = ends.mark_text(align="left", dx=5, fontSize=12)
    layers.append(text.encode(x="end:Q", y=y, text="label:N"))
    return theme.apply(alt.layer(*layers).properties(width=theme.WIDTH, height=alt.Step(26)))
