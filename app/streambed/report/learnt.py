"""What the page and the headline say of trainings: beside the published one, and why not faster."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from streambed.report.data import ReportData
from streambed.report.statistics import estimate
from streambed.report.training import (
    BATCH,
    ENGINE,
    EPOCHS,
    ITERATIONS,
    RATE,
    SPEED_UP,
    TIME,
    WORKERS,
    name_of,
    of_trainings,
    published_of,
    published_rate,
    scaled,
)
from streambed.results.row import Flat


@dataclass(frozen=True)
class Learnt:
    """What the page says of trainings."""

    statements: tuple[str, ...]
    evidence: tuple[tuple[str, str], ...]
    """What was looked at → what it shows."""


def findings(data: ReportData) -> Learnt | None:
    """None for a run without a training that counts."""
    rows = of_trainings(data)
    if not rows:
        return None
    return Learnt(
        statements=(*sentences(rows), *_beside(data, rows), *_scaling(data)),
        evidence=(*_learnt(data, rows), *_prepared(rows), *_rest(data)),
    )


def sentences(rows: Sequence[Flat]) -> list[str]:
    """What the headline says: the most accurate training that went to its end."""
    known = [row for row in rows if row.get("top1") is not None and row.get(ITERATIONS) is None]
    if not known:
        return [f"{len(rows)} trainings ran."]
    best = max(known, key=lambda row: row["top1"])
    right = f"top-1 {best['top1']:.4f}, top-5 {best['top5']:.4f}"
    took = f"{best[TIME]:,.0f} s of training at {best[RATE]:,.0f} images per second"
    return [f"{name_of(best)}: {right} after {took}."]


def _beside(data: ReportData, rows: Sequence[Flat]) -> Iterable[str]:
    """Beside source D, per image, and beside a batch of one image."""
    published = published_rate(data)
    fastest = max(rows, key=lambda row: row.get(RATE) or 0.0)
    if published and fastest.get(RATE):
        rate = fastest[RATE]
        known = [f"{1000 / published:.1f} ms each"]
        for field, pattern in ((TIME, "{:,.0f} s in all"), ("top1", "top-1 {:.4f}")):
            value = published_of(data, field)
            known += [pattern.format(value)] if value is not None else []
        yield (
            f"Source D trained {published:.0f} images per second ({', '.join(known)}); here "
            f"{name_of(fastest)} trained {rate:,.0f} "
            f"({1000 / rate:.3g} ms each), {rate / published:,.0f} times as many."
        )
    for engine in dict.fromkeys(row[ENGINE] for row in rows):
        here = [row for row in rows if row[ENGINE] == engine and row[WORKERS] == 1]
        single = _rate(row for row in here if row[BATCH] == 1)
        large = max({row[BATCH] for row in here}, default=1)
        whole = _rate(row for row in here if row[BATCH] == large)
        if single and whole and large > 1:
            yield (
                f"{engine} with a batch of 1, as published, trained {single:,.0f} images per "
                f"second on one worker, {1000 / single:.3g} ms each; with {large:,} it trained "
                f"{whole / single:,.0f} times as many."
            )


def _rate(rows: Iterable[Flat]) -> float | None:
    found = estimate([row[RATE] for row in rows if row.get(RATE)])
    return None if found is None else found.median


def _scaling(data: ReportData) -> Iterable[str]:
    """Parallel efficiency of each engine, from the fewest workers to each other number."""
    seen = scaled(data)
    points = seen.points(SPEED_UP) if seen.x == WORKERS else []
    for curve in dict.fromkeys((point.series, point.panel) for point in points):
        own = [point for point in points if (point.series, point.panel) == curve]
        fewest = min(point.x for point in own)
        parts = [
            f"{point.x} workers {point.median:.2f} times (efficiency "
            f"{point.median * fewest / point.x:.2f})"
            for point in own
            if point.x != fewest
        ]
        if parts:
            name = ", ".join(part for part in (curve[0] or "", curve[1]) if part)
            batches = " or ".join(f"{size:,}" for size in sorted({r[BATCH] for r in seen.rows}))
            yield (
                f"{name or 'Speed-up'}: against {fewest} worker{'s' if fewest > 1 else ''}, "
                f"{'; '.join(parts)}, with {batches} images in a batch."
            )


def _learnt(data: ReportData, rows: Sequence[Flat]) -> Iterable[tuple[str, str]]:
    whole = [row for row in rows if row.get("top1") is not None and row.get(ITERATIONS) is None]
    for engine in dict.fromkeys(row[ENGINE] for row in whole):
        most = max(row[EPOCHS] for row in whole if row[ENGINE] == engine)
        here = [row for row in whole if (row[ENGINE], row[EPOCHS]) == (engine, most)]
        parts = []
        for field, word in (("top1", "top-1"), ("top5", "top-5"), ("loss", "loss")):
            published = published_of(data, field)
            values = [row[field] for row in here]
            low, high = f"{min(values):.4f}", f"{max(values):.4f}"
            span = low if low == high else f"{low} to {high}"
            beside = "" if published is None else f" (published {published:g})"
            parts.append(f"{word} {span}{beside}")
        yield f"learnt, {engine}", f"{most} epochs: {', '.join(parts)}"


def _prepared(rows: Sequence[Flat]) -> Iterable[tuple[str, str]]:
    shares = [row["prepare_share"] for row in rows if row.get("prepare_share") is not None]
    if shares:
        low, high = 100 * min(shares), 100 * max(shares)
        yield (
            "preprocessing on the same cluster",
            f"{low:.1f} to {high:.1f} % of preprocessing, start, updates and evaluations",
        )
    resumed = sum(int(row.get("resumed") or 0) for row in rows)
    if resumed:
        yield "workers lost", f"{resumed} times; what was left went on from the last checkpoint"


def _rest(data: ReportData) -> Iterable[tuple[str, str]]:
    """What keeps more workers from being so many times faster."""
    rows = [row for row in scaled(data).rows if row.get("wait_share") is not None]
    counts = sorted({row[WORKERS] for row in rows})
    if len(counts) > 1:
        parts = []
        for count in counts:
            found = estimate([row["wait_share"] for row in rows if row[WORKERS] == count])
            if found is not None:
                parts.append(f"{100 * found.median:.0f} % with {count}")
        why = "each update is as slow as the slowest rank, and a share of a core comes in slices"
        yield "ranks wait for each other", f"{', '.join(parts)} of the updates' time: {why}"
