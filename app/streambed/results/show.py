"""The rows of a run as a table for people and as one JSON array for programs."""

import json

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from streambed.results.row import Flat
from streambed.results.run import Run

_STYLE = {"ok": "green", "failed": "bold red", "interrupted": "yellow"}

COLUMNS = (
    ("execution s", "execution_s", ".2f"),
    ("fairness", "fairness", ".3f"),
    ("most on a node", "max_tasks_per_node", "d"),
    ("fullest partition", "max_chunks_per_partition", "d"),
    ("train s", "train_s", ",.1f"),
    ("images/s", "image_rate_per_s", ",.0f"),
    ("produced images/s", "produce_rate_per_s", ",.0f"),
    ("consumed images/s", "consume_rate_per_s", ",.0f"),
    ("speed up", "speed_up", ".2f"),
    ("top-1", "top1", ".4f"),
    ("top-5", "top5", ".4f"),
    ("link used", "link_utilisation", ".3f"),
    ("batch mean s", "micro_batch_mean_s", ".3f"),
    ("worst p99 s", "latency_worst_p99_s", ".3f"),
    ("stall s", "stall_max_s", ".1f"),
    ("recovery s", "recovery_s", ".1f"),
    ("lost", "lost", "d"),
    ("twice", "duplicates", "d"),
    ("accuracy", "accuracy", ".4f"),
)
"""Heading, field and format of the figures a terminal has room for; `--json` has them all."""


def to_json(run: Run, *, every_attempt: bool = False) -> str:
    """One array, one object per cell and repeat (or attempt)."""
    return json.dumps(run.rows(every_attempt=every_attempt), indent=2, allow_nan=False)


def render(run: Run, *, every_attempt: bool = False) -> RenderableType:
    """A table with one line per row, and below it why rows do not count."""
    rows = run.rows(every_attempt=every_attempt)
    labels = {cell.id: cell.label for cell in run.manifest.cells}
    shown = [column for column in COLUMNS if any(row.get(column[1]) is not None for row in rows)]
    counters = [name for name in ("repeat", "attempt") if any(row[name] != 1 for row in rows)]
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("cell", no_wrap=True)
    for heading in counters:
        table.add_column(heading, justify="right")
    table.add_column("status")
    for heading, _, _ in shown:
        table.add_column(heading, justify="right", min_width=max(map(len, heading.split())))
    remarks = []
    for row in rows:
        label = labels.get(row["cell"], row["cell"])
        table.add_row(
            label,
            *(str(row[name]) for name in counters),
            Text(row["status"], style=_STYLE.get(row["status"], "")),
            *(number(row.get(field), pattern) for _, field, pattern in shown),
        )
        reasons = [*row["flags"], *([row["reason"]] if row.get("reason") else [])]
        if reasons:
            execution = f"{label}, repeat {row['repeat']}, attempt {row['attempt']}"
            remarks.append(Text(f"{execution}: {'; '.join(reasons)}"))
    title = Text(f"{run.name}: {summary(run, rows)}", style="bold")
    return Group(title, *([table] if rows else []), *remarks)


def number(value: object, pattern: str) -> str:
    """A figure, or a dash where there is none."""
    return format(value, pattern) if isinstance(value, int | float) else "–"


def summary(run: Run, rows: list[Flat]) -> str:
    """`3 ok, 1 failed, 2 not run` of the last attempts."""
    last = {(row["cell"], row["repeat"]): row["status"] for row in rows}
    counts = {status: list(last.values()).count(status) for status in _STYLE}
    counts["not run"] = max(len(run.manifest.order) - len(last), 0)
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "no rows"
