"""What a batch shows of how tasks spread, in words: all of it generated from the rows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from streambed.pipelines.assignment import HASH
from streambed.report.batch import (
    ASSIGNMENT,
    FAIRNESS,
    PARTITIONS,
    TIME,
    TIMED,
    TIMER,
    WAIT,
    WORK,
    WORKERS,
    cured,
    efficiency,
    of_the_study,
)
from streambed.report.data import ReportData
from streambed.results.row import Flat

ASKED = 4
"""Workers whose efficiency is told beside that of the most there are."""

HIGH = 0.9
"""From this fairness on chunks count as well spread."""


@dataclass(frozen=True)
class Spread:
    """What the page says of a batch."""

    statements: tuple[str, ...]
    evidence: tuple[tuple[str, str], ...]
    """What was looked at → what it shows."""


def findings(data: ReportData) -> Spread | None:
    """None for a run without a batch that counts."""
    rows = [row for row in data.ok if row.get(FAIRNESS) is not None]
    if not rows:
        return None
    return Spread(
        statements=(*_where(rows), *_cure(data)),
        evidence=(*_skew(rows), *_times(data), *_rest(rows)),
    )


def sentences(rows: Sequence[Flat]) -> list[str]:
    """What the headline says: where chunks ran, under the published conditions."""
    known = [row for row in rows if row.get(FAIRNESS) is not None]
    return _where(known) or [f"{len(known)} jobs of keyed chunks ran."]


def _where(rows: Sequence[Flat]) -> list[str]:
    """From how many partitions on several nodes had chunks, for each wait and timer."""
    several = [row for row in rows if row[WORKERS] > 1 and row[ASSIGNMENT] == HASH]
    said: dict[str, list[Flat]] = {}
    for row in sorted(several, key=lambda row: (row[WAIT], row[TIMER]), reverse=True):
        # Where there is no wait, there is no timer either.
        name = f"With a locality wait of {row[WAIT]:g} s ({row[TIMER]} timer)"
        if not row[WAIT]:
            name = f"Without a wait (zero_wait: {row['zero_wait']})"
        said.setdefault(name, []).append(row)
    return [f"{name} {_reach(here)}." for name, here in said.items()]


def _reach(rows: Sequence[Flat]) -> str:
    used: dict[int, list[int]] = {}
    for row in rows:
        if row[PARTITIONS] > 1:  # one partition is on one node, whatever happens
            used.setdefault(row[PARTITIONS], []).append(row["nodes_used"])
    if not used:
        return "there was one partition only"
    spread = [count for count in used if min(used[count]) > 1]
    first = min(spread, default=None)
    alone = [count for count in used if max(used[count]) == 1 and (first is None or count < first)]
    parts = []
    if alone:
        parts.append(f"all chunks ran on one node up to {max(alone)} partitions")
    if first is not None:
        parts.append(f"they ran on several nodes from {first} partitions on")
    if not parts:
        return "repeats differ in whether chunks ran on one node"
    if not alone:
        return f"chunks ran on several nodes from {first} partitions on"
    return ", and ".join(parts)


def _cure(data: ReportData) -> list[str]:
    seen = cured(data)
    if seen.x != WORKERS or not seen.ok:
        return []
    said = []
    for panel in dict.fromkeys(seen.panel_of(row) for row in seen.ok):
        here = [row for row in seen.ok if seen.panel_of(row) == panel]
        where = f", {panel}" if panel else ""
        timed = ", timed chunks" if {row[WORK] for row in here} == {TIMED} else ""
        counts = {row[WORKERS] for row in here} - {1}
        for count in sorted(counts & {ASKED, max(counts, default=ASKED)}):
            parts = _efficiencies(seen, panel, count)
            if parts:
                reach = f"from 1 to {count} workers{where}{timed}"
                said.append(f"Parallel efficiency {reach}: {', '.join(parts)}.")
    return said


def _efficiencies(seen: ReportData, panel: str, workers: int) -> list[str]:
    """Of each assignment that ran on one worker and on these."""
    here = [row for row in seen.ok if (row[WORKERS], seen.panel_of(row)) == (workers, panel)]
    parts = []
    for name in dict.fromkeys(row[ASSIGNMENT] for row in here):
        found = efficiency(seen, name, workers, panel)
        fair = _median(row for row in here if row[ASSIGNMENT] == name)
        if found is not None and fair is not None:
            parts.append(f"{name} {found.median:.2f} (fairness {fair:.3f})")
    return parts


def _median(rows: Iterable[Flat], field: str = FAIRNESS) -> float | None:
    values = [row[field] for row in rows if row.get(field) is not None]
    return median(values) if values else None


def _skew(rows: Sequence[Flat]) -> Iterable[tuple[str, str]]:
    most = max(row[PARTITIONS] for row in rows)
    words = []
    for name in dict.fromkeys(row[ASSIGNMENT] for row in rows):
        fullest = [
            row["max_chunks_per_partition"]
            for row in rows
            if (row[ASSIGNMENT], row[PARTITIONS]) == (name, most)
        ]
        if fullest:
            words.append(f"{name} {max(fullest)}")
    yield "skew", f"chunks in the fullest of {most} partitions: {', '.join(words)}"
    high = [
        row[PARTITIONS]
        for row in rows
        if row[ASSIGNMENT] == HASH and row[FAIRNESS] >= HIGH and row[WORKERS] > 1 and row[WAIT] > 0
    ]
    if high:
        yield "fairness", f"with a wait first {HIGH:g} or more at {min(high)} partitions"


def _times(data: ReportData) -> Iterable[tuple[str, str]]:
    """How far the time falls with partitions, by workers, under the published conditions."""
    rows = [row for row in of_the_study(data).ok if row.get(TIME) is not None]
    for workers in sorted({row[WORKERS] for row in rows}):
        waits = [row[WAIT] for row in rows if row[WORKERS] == workers]
        here = [row for row in rows if (row[WORKERS], row[WAIT]) == (workers, max(waits))]
        levels = sorted({row[PARTITIONS] for row in here})
        if len(levels) < 2:
            continue
        times = {
            level: _median((row for row in here if row[PARTITIONS] == level), TIME)
            for level in levels
        }
        best = min(times, key=lambda level: times[level] or 0.0)
        timed = ", timed chunks" if here[0][WORK] == TIMED else ""
        plural = "s" if workers > 1 else ""
        shown = [f"{times[level]:.1f} s with {level}" for level in (levels[0], best, levels[-1])]
        falls = f"{shown[0]} partitions, least {shown[1]}, {shown[2]}"
        under = f"locality wait {max(waits):g} s{timed}"
        yield f"execution time, {workers} worker{plural}", f"{falls} ({under})"


def _rest(rows: Sequence[Flat]) -> Iterable[tuple[str, str]]:
    """What a job spends beside its chunks."""
    for name in dict.fromkeys(row[ASSIGNMENT] for row in rows):
        here = [row for row in rows if row[ASSIGNMENT] == name]
        lead, beside, idle = (
            _median(here, field) for field in ("lead_s", "task_overhead_s", "idle_share")
        )
        if lead is not None and beside is not None and idle is not None:
            parts = (
                f"{lead:.2f} s until the first chunk starts",
                f"{beside:.2f} s of a task beside its chunks",
                f"{100 * idle:.0f} % of the workers' time without a chunk (medians)",
            )
            yield f"beside the chunks, {name}", ", ".join(parts)
