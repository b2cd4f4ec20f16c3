"""Why a producer's rate depends on partitions: what an image costs it, and what changes that.

Both ends of the partitions are compared by what the producer's process does, in CPU time per image.
Cells that change one cause at a time, with few partitions, say how much of the gain it brings.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import altair as alt

from streambed.report import theme
from streambed.report.data import ReportData
from streambed.report.figure import Drawing, figure
from streambed.report.kafka import (
    CLIENT,
    PARTITIONS,
    PRODUCED,
    PRODUCER_CPU,
    REQUEST,
    SETTINGS,
    alone,
    by_default,
)
from streambed.report.rows import groups, middle, settings, typical
from streambed.results.row import Flat
from streambed.results.throughput import profile_us

PROFILE = "producer_profile"
DEPENDS = 0.05
"""Below this part the rate does not depend on partitions, and there is nothing to explain."""

LEAST_CHANGE_US = 0.5
MOST_CHANGES = 5
MOST_PARTS = 6
"""Parts with a colour of their own."""

REST = "the rest"


def why(data: ReportData) -> Iterable[str]:
    """For each library whose rate depends on partitions: what costs, and what brings the gain."""
    seen = alone(data)
    for (client,), rows in groups(seen.ok, CLIENT):
        few, many = _ends(rows)
        slow, fast = middle(few, PRODUCED), middle(many, PRODUCED)
        if slow is None or fast is None or abs(fast / slow - 1) < DEPENDS:
            continue
        counts = few[0][PARTITIONS], many[0][PARTITIONS]
        before, after = middle(few, PRODUCER_CPU), middle(many, PRODUCER_CPU)
        if before is not None and after is not None:
            yield (
                f"Why {client} depends on partitions: from {counts[0]} to {counts[1]} of them an "
                f"image costs it {1e6 * before:,.0f} → {1e6 * after:,.0f} us of CPU"
                f"{_changes(few, many)}{_requests(few, many)}."
            )
        for said, rate in _causes(data, client, counts[0]):
            gain = (rate - slow) / (fast - slow)
            yield (
                f"{client} with {_partitions(counts[0])}{said} produces {rate / fast:.2f} of what "
                f"it does with {counts[1]} by its own settings, {100 * gain:.0f} % of the change."
            )


def _ends(rows: Sequence[Flat]) -> tuple[list[Flat], list[Flat]]:
    """Rows with the fewest and the most partitions; the same twice where there is one number."""
    counts = [row[PARTITIONS] for row in rows]
    few, many = (
        [row for row in rows if row[PARTITIONS] == end] for end in (min(counts), max(counts))
    )
    return few, many


def _partitions(count: int) -> str:
    return f"{count} partition{'s' if count > 1 else ''}"


def _profile(rows: Iterable[Flat]) -> dict[str, float]:
    """Of the repeat in the middle by its rate: part → us per image."""
    row = typical((row for row in rows if row.get(PROFILE)), PRODUCED)
    return {} if row is None else profile_us(row[PROFILE])


def _changes(few: Sequence[Flat], many: Sequence[Flat]) -> str:
    """`: sockets 60 → 25, record batches 30 → 24`, the largest first."""
    before, after = _profile(few), _profile(many)
    if not before or not after:
        return ""
    pairs = {name: (before.get(name, 0.0), after.get(name, 0.0)) for name in before | after}
    ranked = sorted(pairs.items(), key=lambda entry: -abs(entry[1][1] - entry[1][0]))
    told = [
        f"{name} {first:.1f} → {last:.1f}"
        for name, (first, last) in ranked[:MOST_CHANGES]
        if abs(last - first) >= LEAST_CHANGE_US
    ]
    return f" ({', '.join(told)})" if told else ""


def _requests(few: Sequence[Flat], many: Sequence[Flat]) -> str:
    before, after = middle(few, REQUEST), middle(many, REQUEST)
    if before is None or after is None:
        return ""
    return f"; a request holds {before:,.0f} → {after:,.0f} images"


def _causes(data: ReportData, client: str, partitions: int) -> Iterable[tuple[str, float]]:
    """Settings other than the library's own, with few partitions → rate."""
    rows = [
        row
        for row in by_default(data, but=SETTINGS).ok
        if row[CLIENT] == client and row[PARTITIONS] == partitions
    ]
    for levels, same in groups(rows, *SETTINGS):
        rate = middle(same, PRODUCED)
        if any(level is not None for level in levels) and rate is not None:
            yield settings(data, same[0], SETTINGS), rate


@figure("why-profile", "Why partitions matter: what the producer does for an image", "kafka")
def profiles(data: ReportData) -> Drawing | None:
    """A bar for each number of partitions and each cause, one panel per library."""
    rows = [row for row in by_default(data, but=SETTINGS).ok if row.get(PROFILE)]
    table: list[dict[str, Any]] = []
    for (client, partitions, *_), same in groups(rows, CLIENT, PARTITIONS, *SETTINGS):
        cell = f"{_partitions(partitions)}{settings(data, same[0], SETTINGS)}"
        table += [
            {"client": client, "cell": cell, "activity": name, "cpu_us_per_image": us}
            for name, us in _profile(same).items()
        ]
    if len({(entry["client"], entry["cell"]) for entry in table}) < 2:
        return None
    return Drawing(
        chart=_chart(table),
        caption=(
            "CPU time of the producer's process per image by what it does, of the repeat in the "
            "middle by its rate: on one broker, nobody consuming. Each library has its own scale."
        ),
        alternative="; ".join(
            f"{entry['client']}, {entry['cell']}: {entry['activity']} "
            f"{entry['cpu_us_per_image']:.1f} us"
            for entry in table
        ),
        table=table,
    )


def _chart(table: Sequence[dict[str, Any]]) -> Any:
    totals: dict[str, float] = {}
    for entry in table:
        totals[entry["activity"]] = totals.get(entry["activity"], 0.0) + entry["cpu_us_per_image"]
    ranked = sorted(totals, key=lambda name: -totals[name])
    parts = [*ranked[:MOST_PARTS], *([REST] if len(ranked) > MOST_PARTS else [])]
    drawn = [
        {**entry, "part": part, "place": parts.index(part)}
        for entry in table
        for part in [entry["activity"] if entry["activity"] in parts else REST]
    ]
    cells = list(dict.fromkeys(entry["cell"] for entry in table))
    clients = list(dict.fromkeys(entry["client"] for entry in table))
    base: Any = alt.Chart()
    chart = base.mark_bar(stroke="white", strokeWidth=0.6).encode(
        x=alt.X("cpu_us_per_image:Q", title="CPU time per image (us)", stack="zero"),
        y=alt.Y("cell:N", sort=cells, title=None, axis=alt.Axis(labelLimit=260)),
        color=alt.Color(
            "part:N",
            scale=theme.scale_of(parts, theme.PALETTE),
            legend=alt.Legend(title=None, columns=3),
        ),
        order=alt.Order("place:Q"),
        tooltip=[
            alt.Tooltip("client:N"),
            alt.Tooltip("cell:N"),
            alt.Tooltip("activity:N"),
            alt.Tooltip("cpu_us_per_image:Q", format=".1f"),
        ],
    )
    chart = chart.properties(width=theme.WIDTH, height=alt.Step(24))
    faceted = chart.facet(
        facet=alt.Facet("client:N", sort=clients, header=alt.Header(title=None)),
        columns=1,
        data=alt.InlineData(values=drawn),
    )
    return theme.apply(faceted.resolve_scale(x="independent", y="independent"))
