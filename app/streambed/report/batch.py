"""Figures of study C: execution time and spread of chunks over partitions, and the cure.

The source numbers its figures by measure, not all by level: a figure here names the numbers it
stands for. What was timed instead of classified says so in its axis and its caption.
"""

from collections.abc import Sequence
from typing import Any

from streambed.pipelines.assignment import HASH
from streambed.pipelines.locality import LEGACY
from streambed.report import words
from streambed.report.curves import Guide, curves
from streambed.report.data import Point, ReportData
from streambed.report.figure import Drawing, figure
from streambed.report.published import published
from streambed.report.statistics import Estimate, ratio
from streambed.results.row import Flat

PARTITIONS, WORKERS, WAIT, TIMER = "partitions", "workers", "locality_wait_s", "locality_timer"
ASSIGNMENT, WORK = "assignment", "chunk_work"
TIME, FAIRNESS, MOST = "execution_s", "fairness", "max_tasks_per_node"
TIMED = "timed"

SLEEPS = " Chunks are timed: a thread sleeps instead of classifying, so that only scheduling shows."

OF_A_NODE = "A chunk is what the study calls a task."


def of_batches(data: ReportData) -> list[Flat]:
    """The rows of this pipeline: a report may have others beside them."""
    return [row for row in data.rows if ASSIGNMENT in row]


def of_the_study(data: ReportData) -> ReportData:
    """The rows under the published conditions: hash, the old timer, one kind of chunk work."""
    rows = [row for row in of_batches(data) if (row[ASSIGNMENT], row[TIMER]) == (HASH, LEGACY)]
    timed = [row for row in rows if row[WORK] == TIMED]
    return data.view(timed or rows, x=PARTITIONS)


def cured(data: ReportData) -> ReportData:
    """The rows that compare assignments: other factors are the same for all of them."""
    keys = (PARTITIONS, WAIT, TIMER, WORK)
    seen: dict[tuple[Any, ...], set[Any]] = {}
    for row in of_batches(data):
        seen.setdefault(tuple(row[key] for key in keys), set()).add(row[ASSIGNMENT])
    several = {key for key, assignments in seen.items() if len(assignments) > 1}
    rows = [row for row in of_batches(data) if tuple(row[key] for key in keys) in several]
    return data.view(rows, x=WORKERS, series=ASSIGNMENT)


def work_of(data: ReportData) -> tuple[str, str]:
    """What an axis and a caption add when chunks are timed; empty when they are classified."""
    if data.rows and all(row[WORK] == TIMED for row in data.rows):
        return ", timed chunks", SLEEPS
    return "", ""


def _over_partitions(data: ReportData, series: str, measure: str, what: str) -> Drawing | None:
    """A measure over the partitions; None for fewer than two of them."""
    seen = data.view(data.rows, series=series)
    points = seen.points(measure)
    if seen.x != PARTITIONS or len({point.x for point in points}) < 2:
        return None
    axis, caption = work_of(seen)
    values = published(seen, measure)
    return Drawing(
        chart=curves(seen, points, f"{what}{axis}", published=values),
        caption=(
            f"{what[0].upper()}{what[1:]} {words.over(seen)}. {words.spread(points)}{caption}"
            f"{words.sources(values)}"
        ),
        alternative=words.in_words(seen, points, ""),
        table=words.table(seen, points, measure, values),
    )


@figure("figs-04-07-execution-time", "Figs. 4 to 7: execution time over partitions", "batch")
def execution_time(data: ReportData) -> Drawing | None:
    """One curve per number of workers, one panel per locality wait."""
    return _over_partitions(of_the_study(data), WORKERS, TIME, "execution time (s)")


def _of_several_workers(data: ReportData) -> ReportData:
    seen = of_the_study(data)
    return seen.view(row for row in seen.rows if row[WORKERS] in (2, 3))


@figure(
    "figs-08-13-fairness", "Figs. 8, 9, 11, 13: fairness over partitions, 2 and 3 workers", "batch"
)
def fairness(data: ReportData) -> Drawing | None:
    """One curve per locality wait, one panel per number of workers."""
    return _over_partitions(
        _of_several_workers(data), WAIT, FAIRNESS, "Jain's fairness of chunks per node"
    )


@figure("figs-10-14-most-tasks", "Figs. 10, 12, 14: most tasks on a node, 2 and 3 workers", "batch")
def most_tasks(data: ReportData) -> Drawing | None:
    """One curve per locality wait, one panel per number of workers."""
    drawn = _over_partitions(_of_several_workers(data), WAIT, MOST, "most chunks on a node")
    if drawn is None:
        return None
    return Drawing(drawn.chart, f"{drawn.caption} {OF_A_NODE}", drawn.alternative, drawn.table)


@figure("locality-timer", "The locality timer of today beside the published one", "batch")
def timers(data: ReportData) -> Drawing | None:
    """Fairness with either timer, where both ran."""
    rows = [row for row in of_batches(data) if row[ASSIGNMENT] == HASH and row[WAIT] > 0]
    keys = (PARTITIONS, WORKERS, WAIT, WORK)
    seen: dict[tuple[Any, ...], set[Any]] = {}
    for row in rows:
        seen.setdefault(tuple(row[key] for key in keys), set()).add(row[TIMER])
    both = [row for row in rows if len(seen[tuple(row[key] for key in keys)]) > 1]
    return _over_partitions(
        data.view(both, x=PARTITIONS), TIMER, FAIRNESS, "Jain's fairness of chunks per node"
    )


@figure("cure-execution-time", "The cure: execution time of each assignment", "batch")
def cure(data: ReportData) -> Drawing | None:
    """One curve per assignment, beside the ideal line."""
    seen = cured(data)
    if seen.x == PARTITIONS:
        return _over_partitions(seen, ASSIGNMENT, TIME, "execution time (s)")
    points = seen.points(TIME)
    if seen.x != WORKERS or len({point.x for point in points}) < 2:
        return None
    axis, caption = work_of(seen)
    table = words.table(seen, points, TIME)
    for entry, point in zip(table, points, strict=True):
        found = efficiency(seen, point.series, point.x, point.panel)
        entry["parallel_efficiency"] = None if found is None else found.median
    return Drawing(
        chart=curves(seen, points, f"execution time (s){axis}", _ideal(points)),
        caption=(
            f"Execution time {words.over(seen)}. {words.spread(points)} The dashed line is the "
            "shortest time of one worker, divided by the workers: what doubling them would give."
            f"{caption}"
        ),
        alternative=words.in_words(seen, points, "s"),
        table=table,
    )


@figure("cure-fairness", "The cure: fairness over workers", "batch")
def cure_fairness(data: ReportData) -> Drawing | None:
    """One curve per assignment."""
    seen = cured(data)
    points = seen.points(FAIRNESS)
    if seen.x != WORKERS or len({point.x for point in points}) < 2:
        return None
    axis, caption = work_of(seen)
    what = "Jain's fairness of chunks per node"
    return Drawing(
        chart=curves(seen, points, f"{what}{axis}"),
        caption=f"{what} {words.over(seen)}. {words.spread(points)}{caption}",
        alternative=words.in_words(seen, points, ""),
        table=words.table(seen, points, FAIRNESS),
    )


def _ideal(points: Sequence[Point]) -> list[Guide]:
    """In each panel that has one worker."""
    guides = []
    for panel in dict.fromkeys(point.panel for point in points):
        here = [point for point in points if point.panel == panel]
        alone = [point.median for point in here if point.x == 1]
        if alone:
            counts = sorted({int(point.x) for point in here})
            line = tuple((float(count), min(alone) / count) for count in counts)
            guides.append(Guide("ideal", line, panel=panel))
    return guides


def efficiency(data: ReportData, assignment: Any, workers: Any, panel: str = "") -> Estimate | None:
    """Time of one worker over workers × their time; None where either is missing."""

    def times(count: Any) -> list[float]:
        return [
            row[TIME]
            for row in data.ok
            if (row[ASSIGNMENT], row[WORKERS]) == (assignment, count)
            and data.panel_of(row) == panel
            and row.get(TIME) is not None
        ]

    return ratio(times(1), [workers * value for value in times(workers)])
