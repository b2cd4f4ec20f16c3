"""What study D is to reach, each claim judged by the rows of the report's runs.

The bounds are the project's own; what was published comes from the experiment file of the run
(`reference`). A claim about two results is judged within one run: ratios of runs would compare
machines. Where several runs or groups of rows can judge it, the worst decides.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from streambed.pipelines.training.names import CHAINERMN
from streambed.report.data import RUN, ReportData
from streambed.report.statistics import estimate
from streambed.report.training import (
    BATCH,
    ENGINE,
    EPOCHS,
    ITERATIONS,
    RATE,
    WORKERS,
    published_at,
    published_rate,
)
from streambed.results.row import Flat
from streambed.results.speed_up import same

STUDY = "D"
SUBJECT = CHAINERMN
"""The default engine is what the claims are about."""

WHOLE_ON = (1, 2, 3, 4)
TIMES_PUBLISHED = 50.0
TIMES_BATCH_OF_ONE = 10.0
EFFICIENCY = 0.75
TOP1, TOP5 = 0.985, 0.999


class Verdict(StrEnum):
    """Of a claim."""

    REACHED = "reached"
    MISSED = "missed"
    NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Claim:
    """One of them, in words; `figure` says which rows it is from, or what is missing."""

    what: str
    bound: str
    figure: str
    verdict: Verdict


@dataclass(frozen=True)
class _Seen:
    value: float
    words: str


def claims(data: ReportData) -> list[Claim]:
    """All of them, where a run of study D is among the report's; else none."""
    studied = {run.name for run in data.runs if run.manifest.study == STUDY}
    rows = [row for row in data.rows if row[RUN] in studied and row.get(ENGINE) == SUBJECT]
    if not studied:
        return []
    ok = [row for row in rows if row["status"] == "ok"]
    epochs = published_at(data, RATE).get(EPOCHS)
    whole = [row for row in rows if row[EPOCHS] == epochs and row.get(ITERATIONS) is None]
    length = f"{epochs} epochs" if epochs else "as many epochs as published"
    return [
        _everywhere(whole, length),
        _published(data, ok),
        _at_least(
            "images/s over those of its own batch of 1, on one worker",
            TIMES_BATCH_OF_ONE,
            "{:,.1f} times",
            _each_run(ok, _over_batch_of_one),
            "a run with a batch of 1 and a larger one, on one worker each",
        ),
        _at_least(
            "parallel efficiency from 1 to 2 workers of equal quotas",
            EFFICIENCY,
            "{:.3f}",
            _each_run(ok, _efficiencies),
            "a run with one training on 1 and on 2 workers",
        ),
        *(
            _at_least(
                f"{word} of the test images after {length}",
                bound,
                "{:.4f}",
                _lowest(whole, field),
                f"a training of {length}",
            )
            for field, word, bound in (("top1", "top-1", TOP1), ("top5", "top-5", TOP5))
        ),
    ]


def _at_least(what: str, bound: float, pattern: str, seen: Iterable[_Seen], needed: str) -> Claim:
    """The lowest of what was seen, against the bound."""
    shown = f"≥ {bound:g}{' times' if pattern.endswith('times') else ''}"
    lowest = min(seen, key=lambda each: each.value, default=None)
    if lowest is None:
        return Claim(what, shown, f"needs {needed}", Verdict.NOT_MEASURED)
    verdict = Verdict.REACHED if lowest.value >= bound else Verdict.MISSED
    return Claim(what, shown, f"{pattern.format(lowest.value)} ({lowest.words})", verdict)


def _everywhere(whole: Sequence[Flat], length: str) -> Claim:
    """Each number of workers has a training that ended well, and none that did not."""
    bound = f"on {', '.join(map(str, WHOLE_ON))} workers"
    bad = sorted({row[WORKERS] for row in whole if row["status"] == "failed"})
    good = {row[WORKERS] for row in whole if row["status"] == "ok"} - set(bad)
    missing = [count for count in WHOLE_ON if count not in good and count not in bad]
    parts = [f"ok on {', '.join(map(str, sorted(good)))}"] if good else []
    parts += [f"failed on {', '.join(map(str, bad))}"] if bad else []
    parts += [f"none on {', '.join(map(str, missing))}"] if missing else []
    verdict = Verdict.NOT_MEASURED if missing else Verdict.REACHED
    what = f"{length} without an error"
    return Claim(what, bound, "; ".join(parts), Verdict.MISSED if bad else verdict)


def _published(data: ReportData, ok: Sequence[Flat]) -> Claim:
    """The fastest training of a run over the published rate."""
    published = published_rate(data)
    what = "images/s over the published ones"
    if published is None:
        needed = "needs a run whose file has the published rate"
        return Claim(what, f"≥ {TIMES_PUBLISHED:g} times", needed, Verdict.NOT_MEASURED)
    rate = published

    def fastest(rows: Sequence[Flat]) -> Iterable[_Seen]:
        for _, group in _groups(rows, lambda row: (same(row), row[WORKERS])):
            found = _rate(group)
            if found is not None:
                yield _Seen(found / rate, f"{found:,.0f} over {rate:g} images/s, {_place(group)}")

    best = [max(found, key=lambda each: each.value) for found in _by_run(ok, fastest) if found]
    return _at_least(what, TIMES_PUBLISHED, "{:,.1f} times", best, "a training that ended well")


def _over_batch_of_one(rows: Sequence[Flat]) -> Iterable[_Seen]:
    alone = [row for row in rows if row[WORKERS] == 1]
    single = _rate([row for row in alone if row[BATCH] == 1])
    large = max((row[BATCH] for row in alone), default=1)
    whole = _rate([row for row in alone if row[BATCH] == large])
    if single and whole and large > 1:
        words = f"{whole:,.0f} with a batch of {large:,} over {single:,.0f} images/s"
        yield _Seen(whole / single, words)


def _efficiencies(rows: Sequence[Flat]) -> Iterable[_Seen]:
    for _, group in _groups(rows, same):
        one, two = (_rate([row for row in group if row[WORKERS] == n]) for n in (1, 2))
        if one and two:
            words = f"{one:,.0f} and {two:,.0f} images/s, global batch {group[0][BATCH]:,}"
            yield _Seen(two / (2 * one), words)


def _lowest(rows: Sequence[Flat], field: str) -> Iterable[_Seen]:
    """Also of rows that failed: one that learnt too little failed for that."""
    for row in rows:
        if row.get(field) is not None:
            yield _Seen(float(row[field]), f"the lowest of {len(rows)}, {_place([row])}")


def _place(rows: Sequence[Flat]) -> str:
    count = rows[0][WORKERS]
    return f"{count} worker{'s' if count != 1 else ''}, batch {rows[0][BATCH]:,}"


def _rate(rows: Sequence[Flat]) -> float | None:
    found = estimate([row[RATE] for row in rows if row.get(RATE)])
    return None if found is None else found.median


def _each_run(
    rows: Sequence[Flat], judge: Callable[[Sequence[Flat]], Iterable[_Seen]]
) -> list[_Seen]:
    return [seen for found in _by_run(rows, judge) for seen in found]


def _by_run(
    rows: Sequence[Flat], judge: Callable[[Sequence[Flat]], Iterable[_Seen]]
) -> list[list[_Seen]]:
    return [list(judge(group)) for _, group in _groups(rows, lambda row: row[RUN])]


def _groups(rows: Iterable[Flat], key: Callable[[Flat], Any]) -> Iterable[tuple[Any, list[Flat]]]:
    groups: dict[Any, list[Flat]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups.items()
