"""The bottleneck of each mode, in words, with its evidence: all of it generated from the rows."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from streambed.report.data import ReportData
from streambed.report.limits import FILLS, Limit, headroom, judge, overrun
from streambed.report.study import BANDWIDTH, MODE, TRIGGER
from streambed.results.row import Flag, Flat

_CLAUSES = {
    Limit.LINK: "the link limits",
    Limit.OFFERED: "nothing limits, all that is offered comes out",
    Limit.PROCESSING: "processing in Spark limits",
    Limit.PRODUCER: "the producer limits",
    Limit.NOT_SHOWN: "the evidence does not show what limits",
}
_MIXED = "results differ in what limits"

AGREE = 2 / 3
"""Part of the results at a bandwidth that must agree for it to be said in a word."""


@dataclass(frozen=True)
class Finding:
    """What limits one mode, and why that is believed."""

    name: str
    """The mode; empty when the rows have none."""
    statement: str
    evidence: tuple[tuple[str, str], ...]
    """What was looked at → what it shows."""
    columns: tuple[str, ...]
    """Headings of the map: one per trigger."""
    map: tuple[tuple[str, tuple["Square", ...]], ...]
    """Per bandwidth, one square for each trigger."""


@dataclass(frozen=True)
class Square:
    """What limited the results at one bandwidth and trigger."""

    text: str
    """`link`, or `link 2, not shown 1`."""
    kind: str
    """The limit when all agree, else `mixed`; `none` without a result."""


def findings(data: ReportData) -> list[Finding]:
    """One finding per mode with a result; empty for a pipeline without micro-batches."""
    rows = [row for row in data.ok if TRIGGER in row]
    modes = list(dict.fromkeys(row.get(MODE) for row in rows))
    return [_finding(data, [row for row in rows if row.get(MODE) == mode]) for mode in modes]


def _finding(data: ReportData, rows: list[Flat]) -> Finding:
    mode = rows[0].get(MODE)
    columns = list(dict.fromkeys(row[TRIGGER] for row in _sorted(rows, TRIGGER)))
    lines = list(dict.fromkeys(row.get(BANDWIDTH) for row in _sorted(rows, BANDWIDTH)))
    return Finding(
        name="" if mode is None else str(mode),
        statement=_statement(data, rows, lines),
        evidence=tuple(_evidence(rows)),
        columns=tuple(data.show(TRIGGER, trigger) for trigger in columns),
        map=tuple(
            (
                data.show(BANDWIDTH, bandwidth),
                tuple(
                    _square(r for r in rows if (r.get(BANDWIDTH), r[TRIGGER]) == (bandwidth, t))
                    for t in columns
                ),
            )
            for bandwidth in lines
        ),
    )


def _sorted(rows: Iterable[Flat], field: str) -> list[Flat]:
    """By a number; what has none (an unshaped link) comes last."""
    return sorted(rows, key=lambda row: (row.get(field) is None, row.get(field) or 0))


def _square(rows: Iterable[Flat]) -> Square:
    counts = Counter(str(judge(row).limit) for row in rows)
    if not counts:
        return Square("–", "none")
    if len(counts) == 1:
        (kind,) = counts
        return Square(kind, kind.replace(" ", "-"))
    return Square(", ".join(f"{kind} {count}" for kind, count in counts.most_common()), "mixed")


def _statement(data: ReportData, rows: list[Flat], bandwidths: Sequence[Any]) -> str:
    """Consecutive bandwidths at which the same thing limits make one clause."""
    clauses: list[_Clause] = []
    for bandwidth in bandwidths:
        here = [judge(row).limit for row in rows if row.get(BANDWIDTH) == bandwidth]
        limit, count = Counter(here).most_common(1)[0]
        agreed = count >= AGREE * len(here)
        words = _CLAUSES[limit] if agreed else _MIXED
        if not clauses or clauses[-1].words != words:
            clauses.append(_Clause(words))
        clauses[-1].add(bandwidth, count, len(here))
    text = "; ".join(
        clause.text(_reach(data, clause.bandwidths) if len(clauses) > 1 else "")
        for clause in clauses
    )
    return f"{text[0].upper()}{text[1:]}."


@dataclass
class _Clause:
    words: str
    bandwidths: list[Any] = field(default_factory=list)
    agreed: int = 0
    total: int = 0

    def add(self, bandwidth: Any, agreed: int, total: int) -> None:
        self.bandwidths.append(bandwidth)
        self.agreed += agreed
        self.total += total

    def text(self, reach: str) -> str:
        count = "one result" if self.total == 1 else f"{self.total} results"
        if self.total > 1 and self.words != _MIXED:
            count = f"{self.agreed} of {count}"
        return f"{self.words}{' ' if reach else ''}{reach} ({count})"


def _reach(data: ReportData, bandwidths: Sequence[Any]) -> str:
    first, last = data.show(BANDWIDTH, bandwidths[0]), data.show(BANDWIDTH, bandwidths[-1])
    if len(bandwidths) == 1:
        return f"on the {first} link" if bandwidths[0] is None else f"at {first}"
    return f"from {first} to {last}"


def _evidence(rows: Sequence[Flat]) -> Iterable[tuple[str, str]]:
    used = _known(rows, lambda row: row.get("link_utilisation"))
    if used:
        count = f"{sum(value >= FILLS for value in used)} of {len(used)} results"
        full = f"at least {100 * FILLS:g} % in {count}"
        yield "link", f"images fill {_percent(used)} % of the measured goodput; {full}"
    ratios = _known(rows, overrun)
    if ratios:
        on_time = f"{sum(ratio < 1 for ratio in ratios)} of {len(ratios)} results"
        took = f"a micro-batch takes {_span(ratios, '.2f')} of its trigger"
        yield "real time", f"{took}; less than all of it in {on_time}"
    spare = _known(rows, headroom)
    if spare:
        yield "producer", f"unshaped it manages {_span(spare, ',.1f')} times the image rate"
    yield from _busiest(rows)
    yield from _caveats(rows)


def _caveats(rows: Sequence[Flat]) -> Iterable[tuple[str, str]]:
    total = len(rows)
    flagged = Counter(flag for row in rows for flag in row["flags"])
    if Flag.NOT_REPRESENTATIVE in flagged:
        where = f"not in {flagged[Flag.NOT_REPRESENTATIVE]} of {total} results"
        why = "the producer is too slow against the classifier for the published shape to show"
        yield "representative", f"{where}: {why}"
    if flagged:
        counts = [f"{flag.replace('_', ' ')} {count}" for flag, count in sorted(flagged.items())]
        yield "flags", f"{', '.join(counts)}, of {total} results"
    unclear = Counter(j.because for j in map(judge, rows) if j.limit == Limit.NOT_SHOWN)
    if unclear:
        yield "not shown", "; ".join(f"{why} ({n} of {total})" for why, n in unclear.items())


def _busiest(rows: Sequence[Flat]) -> Iterable[tuple[str, str]]:
    """From the samples of the nodes, where a run has them: shares, and the words of the median."""
    shares = _known(rows, lambda row: row.get("cpu_share_max"))
    if shares:
        yield "CPU", f"the busiest node used {_percent(shares)} % of its quota"
    kinds: dict[Limit, list[Flat]] = {}
    for row in rows:
        if row.get("bottleneck"):
            kinds.setdefault(judge(row).limit, []).append(row)
    for limit, among in kinds.items():
        # Of the result in the middle: the words of one result, not an average of none.
        typical = sorted(among, key=lambda row: row.get("cpu_share_max") or 0)[len(among) // 2]
        yield f"busiest, where {limit}", str(typical["bottleneck"])


def _known(rows: Iterable[Flat], figure: Callable[[Flat], Any]) -> list[float]:
    return [float(value) for value in map(figure, rows) if value is not None]


def _percent(values: Sequence[float]) -> str:
    return _span([100 * value for value in values], ".1f")


def _span(values: Sequence[float], pattern: str) -> str:
    low, high = format(min(values), pattern), format(max(values), pattern)
    return low if low == high else f"{low} to {high}"
