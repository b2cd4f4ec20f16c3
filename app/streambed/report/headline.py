"""The result in one or two sentences, from the rows alone."""

from collections.abc import Callable, Sequence

from streambed.report import (
    ablation,
    brokers,
    cameras,
    encryption,
    learnt,
    modes,
    scaling,
    spread,
    survival,
)
from streambed.report.compression import CODEC, gain
from streambed.report.data import ReportData
from streambed.report.findings import findings
from streambed.report.limits import FILLS
from streambed.report.study import FAULT, MODE
from streambed.results.row import Flat


def headline(data: ReportData) -> str:
    """What a reader should take home; failed cells are always mentioned."""
    if not data.rows:
        return "Nothing has run yet."
    failed = [row for row in data.rows if row["status"] != "ok"]
    if not data.ok:
        said = f"No result: {_cells(len(failed))} did not end well."
        return " ".join([said, *survival.sentences(data.rows)])
    parts = [
        part
        for pipeline in sorted(data.pipelines)
        if pipeline in _HEADLINES
        for part in _parts(data, pipeline)
    ]
    if failed:
        parts.append(
            f"{len(failed)} of {len(data.rows)} results are missing because the cell failed or "
            "was interrupted; the table says why."
        )
    flagged = [row for row in data.ok if row["flags"]]
    if flagged:
        flags = ", ".join(sorted({flag for row in flagged for flag in row["flags"]}))
        parts.append(f"{_cells(len(flagged))} flagged: {flags.replace('_', ' ')}.")
    return " ".join(parts)


def _cells(count: int) -> str:
    return f"{count} result{'s' if count != 1 else ''}"


def _range(values: Sequence[float], pattern: str) -> str:
    low, high = format(min(values), pattern), format(max(values), pattern)
    return low if low == high else f"{low} to {high}"


def _values(rows: Sequence[Flat], field: str) -> list[float]:
    return [float(row[field]) for row in rows if row.get(field) is not None]


def _streaming(rows: Sequence[Flat]) -> list[str]:
    # At a constant rate neither the link nor the classifier sets the pace.
    calm = [row for row in rows if row.get(FAULT) is None]
    closed = [row for row in calm if row.get("latency_p99_s") is None]
    plain = [row for row in closed if row.get(CODEC, "none") == "none"]
    packed = [row for row in closed if row.get(CODEC, "none") != "none"]
    offered = [row for row in calm if row.get("latency_p99_s") is not None]
    said = (_rate(plain), _compressed(packed), _real_time(closed), _timely(offered))
    return [text for text in (*said, *encryption.sentences(rows), _accounted(rows)) if text]


def _timely(rows: Sequence[Flat]) -> str:
    """Latency at a constant rate, and what rate could be sustained where that was searched."""
    if not rows:
        return ""
    rates = _range(_values(rows, "image_rate_per_s"), ",.0f")
    half, most = max(_values(rows, "latency_p50_s")), max(_values(rows, "latency_p99_s"))
    text = (
        f"At constant rates of {rates} images/s half of the images took up to {half:.2f} s "
        f"to their result, 99 % of them up to {most:.2f} s."
    )
    found = _values(rows, "sustainable_rate_per_s")
    if not found:
        return text
    return f"{text} The highest rates sustained were {_range(found, ',.0f')}."


def _parts(data: ReportData, pipeline: str) -> list[str]:
    if MODE in data.varied:
        return _by_mode(data)
    said = _HEADLINES[pipeline](data.ok)
    if pipeline != "streaming":
        return said
    gained = scaling.speed_up(data).strip()
    # A cell that lost an image has failed: what faults cost is told of those, too.
    return [*([gained] if gained else []), *said, *survival.sentences(data.rows)]


def _by_mode(data: ReportData) -> list[str]:
    """Modes are compared: what each gives, and what limits it."""
    texts = [text] if (text := modes.apart(data)) else []
    for found in findings(data):
        rows = [row for row in data.ok if row.get(MODE) == found.name]
        rates = _range(_values(rows, "image_rate_per_s"), ",.0f")
        statement = found.statement[0].lower() + found.statement[1:]
        texts.append(f"{found.name}: {rates} images per second; {statement}")
    return [*texts, _accounted(data.ok)]


def _compressed(rows: Sequence[Flat]) -> str:
    """The highest gain, and whose it is."""
    gains = [(value, row[CODEC]) for row in rows if (value := gain(row)) is not None]
    if not gains:
        return ""
    most, codec = max(gains)
    return f"Compressed, up to {most:.1f} times the uncompressed limit came out ({codec})."


def _rate(rows: Sequence[Flat]) -> str:
    if not rows:
        return ""
    used = _values(rows, "link_utilisation")
    rates = _range(_values(rows, "image_rate_per_s"), ",.0f")
    if not used:
        return f"{rates} images per second came out classified."
    share = _range([100 * value for value in used], ".1f")
    if min(used) >= FILLS:
        return (
            f"The link sets the pace: {rates} images per second came out classified, {share} % of "
            "what the measured goodput can carry, so no other part is the bottleneck."
        )
    short = sum(value < FILLS for value in used)
    return (
        f"{rates} images per second came out classified, {share} % of what the measured goodput "
        f"can carry; in {short} of {len(used)} results something other than the link limits."
    )


def _real_time(rows: Sequence[Flat]) -> str:
    ratios = [
        row["micro_batch_mean_s"] / row["trigger_s"]
        for row in rows
        if row.get("micro_batch_mean_s") is not None
    ]
    if not ratios:
        return ""
    late = sum(ratio >= 1 for ratio in ratios)
    if not late:
        return (
            "It runs in real time: a micro-batch took "
            f"{_range([100 * ratio for ratio in ratios], '.0f')} % of its trigger on average."
        )
    return (
        f"In {late} of {len(ratios)} results a micro-batch took longer than its trigger, up to "
        f"{max(ratios):.1f} times."
    )


def _accounted(rows: Sequence[Flat]) -> str:
    # Where a cell finds its rate itself, its file names no number of images.
    images = sum(row["images"] or row.get("images_sent") or 0 for row in rows)
    lost, twice = sum(_values(rows, "lost")), sum(_values(rows, "duplicates"))
    accuracy = _values(rows, "accuracy")
    if not lost and not twice:
        account = f"All {images:,} images were accounted for"
    else:
        account = f"Of {images:,} images {lost:,.0f} were lost and {twice:,.0f} came out twice"
    if not accuracy:
        return f"{account}."
    return f"{account}; {_range([100 * value for value in accuracy], '.1f')} % of labels are right."


_HEADLINES: dict[str, Callable[[Sequence[Flat]], list[str]]] = {
    "ablation": ablation.sentences,
    "batch": spread.sentences,
    "cameras": cameras.sentences,
    "kafka": brokers.sentences,
    "streaming": _streaming,
    "training": learnt.sentences,
}
