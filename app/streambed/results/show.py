"""The rows of a run as a table for people and as one JSON array for programs."""

import json

from rich.table import Table

from streambed.results.row import Flat
from streambed.results.run import Run

_STYLE = {"ok": "green", "failed": "bold red", "interrupted": "yellow"}

COLUMNS = (
    ("images/s", "image_rate_per_s", ",.0f"),
    ("link used", "link_utilisation", ".3f"),
    ("goodput up Mbit/s", "goodput_up_mbit_per_s", ".2f"),
    ("micro-batch mean s", "micro_batch_mean_s", ".3f"),
    ("p95 s", "micro_batch_p95_s", ".3f"),
    ("lost", "lost", "d"),
    ("twice", "duplicates", "d"),
    ("accuracy", "accuracy", ".4f"),
    ("cold start s", "cold_start_s", ".1f"),
)
"""Heading, field and format of the figures a terminal has room for; `--json` has them all."""


def to_json(run: Run, *, every_attempt: bool = False) -> str:
    """One array, one object per cell and repeat (or attempt)."""
    return json.dumps(run.rows(every_attempt=every_attempt), indent=2, allow_nan=False)


def render(run: Run, *, every_attempt: bool = False) -> Table:
    """A table with the varied factors first; rows that do not count say why."""
    rows = run.rows(every_attempt=every_attempt)
    labels = {cell.id: cell.label for cell in run.manifest.cells}
    shown = [column for column in COLUMNS if any(row.get(column[1]) is not None for row in rows)]
    table = Table(title=f"{run.name}: {summary(run, rows)}", title_justify="left", box=None)
    for heading in ("cell", "repeat", "attempt", "status"):
        table.add_column(heading)
    for heading, _, _ in shown:
        table.add_column(heading, justify="right")
    table.add_column("flags, reason")
    for row in rows:
        style = _STYLE.get(row["status"], "")
        remarks = [*row["flags"], *([row["reason"]] if row.get("reason") else [])]
        table.add_row(
            labels.get(row["cell"], row["cell"]),
            str(row["repeat"]),
            str(row["attempt"]),
            f"[{style}]{row['status']}[/{style}]" if style else row["status"],
            *(number(row.get(field), pattern) for _, field, pattern in shown),
            "; ".join(remarks),
        )
    return table


def number(value: object, pattern: str) -> str:
    """A figure, or a dash where there is none."""
    return format(value, pattern) if isinstance(value, int | float) else "–"


def summary(run: Run, rows: list[Flat]) -> str:
    """`3 ok, 1 failed, 2 not run` of the last attempts."""
    last = {(row["cell"], row["repeat"]): row["status"] for row in rows}
    counts = {status: list(last.values()).count(status) for status in _STYLE}
    counts["not run"] = max(len(run.manifest.order) - len(last), 0)
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "no rows"
