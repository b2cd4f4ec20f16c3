"""Figures of study B by their published numbers, and those of what lies beyond it.

Figs. 4 and 5 are what is produced and consumed while both run, 6 what is produced when nobody
consumes, 7 what is consumed of data that were loaded before.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import altair as alt

from streambed.experiment.kafka import CONSUME, PRODUCE, WHILE
from streambed.report import theme, words
from streambed.report.curves import Guide, curves
from streambed.report.data import Point, ReportData
from streambed.report.figure import Drawing, figure
from streambed.report.published import published
from streambed.report.statistics import Estimate, estimate
from streambed.report.study import PLAINTEXT
from streambed.results.row import Flat

SCENARIO, PARTITIONS, CONSUMERS, CLIENT = "scenario", "partitions", "consumers", "client"
BROKERS, COMPRESSION, BANDWIDTH = "brokers", "compression", "bandwidth_mbit_per_s"
SETTINGS = ("acks", "idempotence", "batch_bytes", "linger_s")
"""Factors that a cell may leave to the client library."""
PRODUCED, CONSUMED = "produce_rate_per_s", "consume_rate_per_s"
REQUEST, PRODUCER_CPU = "records_per_request", "producer_cpu_s_per_image"

_PUBLISHED = {PARTITIONS, CONSUMERS, SCENARIO}


def is_study_b(data: ReportData) -> bool:
    """Whether this is one run of study B's own matrix, or of a part of it."""
    if len(data.runs) != 1:
        return False
    manifest = data.runs[0].manifest
    return manifest.study == "B" and set(manifest.factors) <= _PUBLISHED


def of_kafka(data: ReportData) -> list[Flat]:
    """The rows of this pipeline: a report may have others beside them."""
    return [row for row in data.rows if SCENARIO in row]


def in_scenario(data: ReportData, scenario: str) -> ReportData:
    """The rows of one scenario, over the partitions; without consumers there is one curve."""
    rows = [row for row in of_kafka(data) if row[SCENARIO] == scenario]
    if scenario == PRODUCE and rows:
        # Their number means nothing where there are none.
        rows = [{**row, CONSUMERS: rows[0][CONSUMERS]} for row in rows]
    return data.view(rows, x=PARTITIONS, series=CONSUMERS)


def _numbered(data: ReportData, scenario: str, measure: str, what: str) -> Drawing | None:
    """One published figure; None for another experiment, or without two numbers of partitions."""
    if not is_study_b(data):
        return None
    seen = in_scenario(data, scenario)
    points = seen.points(measure)
    if seen.x != PARTITIONS or len({point.x for point in points}) < 2:
        return None
    values = published(seen, measure)
    return Drawing(
        chart=curves(seen, points, f"{what} (images/s)", _ideal(seen, points, scenario), values),
        caption=(
            f"Images per second {what}, {words.over(seen)}. {words.spread(points)}"
            f"{_about_ideal(seen, scenario)}{words.sources(values)}"
        ),
        alternative=words.in_words(seen, points, "images/s"),
        table=words.table(seen, points, measure, values),
    )


def _ideal(seen: ReportData, points: Sequence[Point], scenario: str) -> list[Guide]:
    """Of loaded data: the rate of one consumer, times consumers, as far as each has a partition."""
    if scenario != CONSUME or seen.series != CONSUMERS:
        return []
    alone = {point.x: point.median for point in points if point.series == 1}
    guides = []
    for count in sorted({point.series for point in points} - {1}):
        line = tuple((float(x), rate * min(count, x)) for x, rate in sorted(alone.items()))
        if len(line) > 1:
            guides.append(Guide(f"{count} x one", line, series=count))
    return guides


def _about_ideal(seen: ReportData, scenario: str) -> str:
    if scenario != CONSUME or seen.series != CONSUMERS:
        return ""
    return " Dashed lines are the rate of one consumer, times those that have a partition."


@figure("fig-04-produce-while-consuming", "Fig. 4: produced while consumed", "kafka")
def produced_while(data: ReportData) -> Drawing | None:
    """One curve per number of consumers."""
    return _numbered(data, WHILE, PRODUCED, "from producer to broker")


@figure("fig-05-consume-while-producing", "Fig. 5: consumed while produced", "kafka")
def consumed_while(data: ReportData) -> Drawing | None:
    """One curve per number of consumers."""
    return _numbered(data, WHILE, CONSUMED, "from broker to consumers")


@figure("fig-06-produce-only", "Fig. 6: produced alone", "kafka")
def produced_alone(data: ReportData) -> Drawing | None:
    """One curve."""
    return _numbered(data, PRODUCE, PRODUCED, "from producer to broker")


@figure("fig-07-consume-loaded", "Fig. 7: consumed what was loaded", "kafka")
def consumed_loaded(data: ReportData) -> Drawing | None:
    """One curve per number of consumers."""
    return _numbered(data, CONSUME, CONSUMED, "from broker to consumers")


def alone(data: ReportData) -> ReportData:
    """Produced with nobody consuming, by the libraries' own settings on one broker: by client."""
    return by_default(data)


def by_default(data: ReportData, but: Sequence[str] = ()) -> ReportData:
    """The same, where some of the settings may be others than the library's own.

    Across a link only where all rows are: one of them is then as good as another.
    """
    rows = [
        row
        for row in in_scenario(data, PRODUCE).rows
        if all(row.get(field) is None for field in SETTINGS if field not in but)
        and (row[COMPRESSION], row[BROKERS], row[PLAINTEXT]) == ("none", 1, "off")
    ]
    links = [row.get(BANDWIDTH) for row in rows]
    link = None if None in links else max((each for each in links if each), default=None)
    rows = [row for row in rows if row.get(BANDWIDTH) == link]
    return data.view(rows, x=PARTITIONS, series=CLIENT)


def _why(data: ReportData, measure: str, what: str, unit: str, factor: float) -> Drawing | None:
    seen = alone(data)
    points = seen.points(
        lambda row: None if row.get(measure) is None else factor * float(row[measure])
    )
    if seen.x != PARTITIONS or len({point.x for point in points}) < 2:
        return None
    axis = f"{what} ({unit})" if unit else what
    return Drawing(
        chart=curves(seen, points, axis),
        caption=f"{what[0].upper()}{what[1:]}, {words.over(seen)}. {words.spread(points)}",
        alternative=words.in_words(seen, points, unit),
        table=words.table(seen, points, measure),
    )


@figure("why-requests", "Why partitions matter: images in a request", "kafka")
def requests(data: ReportData) -> Drawing | None:
    """By the producer's library's own count."""
    return _why(data, REQUEST, "images in a request of the producer", "", 1.0)


@figure("why-cpu", "Why partitions matter: what an image costs the producer", "kafka")
def cost(data: ReportData) -> Drawing | None:
    """CPU time per image."""
    return _why(data, PRODUCER_CPU, "CPU time of the producer per image", "us", 1e6)


@figure("settings-produced", "Produced: libraries, settings, brokers", "kafka")
def settings_produced(data: ReportData) -> Drawing | None:
    """A bar for each cell that produced, of an experiment beyond the published factors."""
    return _bars(data, PRODUCED, "produced (images/s)")


@figure("settings-consumed", "Consumed: libraries", "kafka")
def settings_consumed(data: ReportData) -> Drawing | None:
    """A bar for each cell that consumed."""
    return _bars(data, CONSUMED, "consumed (images/s)")


def _bars(data: ReportData, measure: str, axis: str) -> Drawing | None:
    rows = [row for row in of_kafka(data) if row["status"] == "ok" and row.get(measure)]
    if is_study_b(data) or len({row["cell"] for row in rows}) < 2:
        return None
    groups: dict[str, list[float]] = {}
    for row in rows:
        groups.setdefault(_name(data, row, rows), []).append(float(row[measure]))
    known = {name: found for name, values in groups.items() if (found := estimate(values))}
    counts = [found.n for found in known.values()]
    usual = ", ".join(_usual(data, rows).values())
    unsaid = f" What is not said is as in most of them: {usual}." if usual else ""
    return Drawing(
        chart=_bar_chart(known, axis),
        caption=f"Images per second of each cell, {words.repeats(counts)}.{unsaid}",
        alternative="; ".join(
            f"{name}: {found.median:.4g} images/s" for name, found in known.items()
        ),
        table=[
            {
                "cell": name,
                f"{measure}_median": found.median,
                "interval_low": found.low,
                "interval_high": found.high,
                "repeats": found.n,
            }
            for name, found in known.items()
        ],
    )


def _settings(data: ReportData) -> list[str]:
    """Varied factors that a bar names only where they differ from what is usual."""
    return [field for field in data.varied if field not in (CLIENT, PARTITIONS, SCENARIO)]


def _usual(data: ReportData, rows: Sequence[Flat]) -> dict[str, str]:
    """The level of each of them that most rows have, in words; nothing where there is none."""
    found = {}
    for field in _settings(data):
        level, count = Counter(row.get(field) for row in rows).most_common(1)[0]
        if count > len(rows) / 2:
            found[field] = f"{data.factor_name(field)} {data.show(field, level)}"
    return found


def _name(data: ReportData, row: Flat, rows: Sequence[Flat]) -> str:
    """`kafka-python, 16 partitions, idempotence off`."""
    parts = [str(row[CLIENT]), f"{row[PARTITIONS]} partition{'s' if row[PARTITIONS] > 1 else ''}"]
    usual = _usual(data, rows)
    for field in _settings(data):
        said = f"{data.factor_name(field)} {data.show(field, row.get(field))}"
        parts += [said] if said != usual.get(field) else []
    return ", ".join(parts)


def _bar_chart(known: dict[str, Estimate], axis: str) -> Any:
    values = [
        {
            "cell": name,
            "client": name.split(",", maxsplit=1)[0],
            "rate": found.median,
            "low": found.low,
            "high": found.high,
            "label": f"{found.median:,.0f}",
        }
        for name, found in known.items()
    ]
    y = alt.Y("cell:N", sort=list(known), title=None, axis=alt.Axis(labelLimit=480, ticks=False))
    # Beyond the longest bar there must be room for its number.
    most = 1.2 * max(found.high or found.median for found in known.values())
    x = alt.X("rate:Q", title=axis, scale=alt.Scale(domain=[0, most]))
    clients = list(dict.fromkeys(value["client"] for value in values))
    colour = alt.Color(
        "client:N", scale=theme.scale_of([str(c) for c in clients], theme.PALETTE), legend=None
    )
    base: Any = alt.Chart(alt.InlineData(values=values))
    layers = [base.mark_bar(height={"band": 0.7}).encode(x=x, y=y, color=colour)]
    if any(value["low"] is not None for value in values):
        rule = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=2, color="black")
        layers.append(rule.encode(x="low:Q", x2="high:Q", y=y))
    ends = base.transform_calculate(end="isValid(datum.high) ? datum.high : datum.rate")
    text = ends.mark_text(align="left", dx=5, fontSize=12)
    layers.append(text.encode(x="end:Q", y=y, text="label:N"))
    return theme.apply(alt.layer(*layers).properties(width=theme.WIDTH, height=alt.Step(26)))
