"""What study B's rows answer, in words: all of it generated from the rows."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from streambed.experiment.kafka import CONSUME, JAVA, PRODUCE, WHILE
from streambed.report.data import ReportData
from streambed.report.kafka import (
    BANDWIDTH,
    BROKERS,
    CLIENT,
    CONSUMED,
    CONSUMERS,
    PARTITIONS,
    PRODUCED,
    PRODUCER_CPU,
    SCENARIO,
    alone,
    of_kafka,
)
from streambed.report.producer_cost import why
from streambed.report.rows import alike, groups, middle, settings, times, typical, values
from streambed.report.statistics import ratio
from streambed.report.study import PLAINTEXT
from streambed.results.row import Flat

KILLED = "kill_broker"
CONSUMER_CPU = "consumer_cpu_s_per_image"
LINK = "link_utilisation"
FULL = 0.95
"""Of the goodput: with so much of it the link is the limit."""


@dataclass(frozen=True)
class Answers:
    """What the page says of Kafka under study."""

    statements: tuple[str, ...]
    evidence: tuple[tuple[str, str], ...]
    """What was looked at → what it shows."""


def findings(data: ReportData) -> Answers | None:
    """None for a run without a result of pipeline `kafka`."""
    rows = [row for row in of_kafka(data) if row["status"] == "ok"]
    if not rows:
        return None
    return Answers(
        statements=(
            *_by_partitions(data),
            *why(data),
            *_together(rows),
            *_loaded(rows),
            *_faults(of_kafka(data)),
        ),
        evidence=(
            *_brokers(data, rows),
            *_encrypted(data, rows),
            *_tools(data, rows),
            *_own_cost(rows),
            *_limits(data, rows),
            *_link(data, rows),
        ),
    )


def sentences(rows: Sequence[Flat]) -> list[str]:
    """What the headline says."""
    said = [*_together(rows), *_loaded(rows), *_faults(rows)]
    lost = sum(row.get("lost") or 0 for row in rows)
    images = sum(row["images"] or 0 for row in rows)
    return [*said, f"Of {images:,} images {lost:,} were lost."]


def _by_partitions(data: ReportData) -> Iterable[str]:
    """How far the producer's rate depends on partitions, for each library."""
    seen = alone(data)
    for client in dict.fromkeys(row[CLIENT] for row in seen.ok):
        here = [row for row in seen.ok if row[CLIENT] == client]
        few, many = (pick(row[PARTITIONS] for row in here) for pick in (min, max))
        found = ratio(
            values((row for row in here if row[PARTITIONS] == many), PRODUCED),
            values((row for row in here if row[PARTITIONS] == few), PRODUCED),
        )
        if few < many and found is not None:
            yield (
                f"With {many} partitions {client} produces {times(found)} what it does with {few}."
            )


def _together(rows: Sequence[Flat]) -> Iterable[str]:
    """Whether consumption keeps up with production while both run."""
    shares = [
        row[CONSUMED] / row[PRODUCED]
        for row in rows
        if row[SCENARIO] == WHILE and row.get(CONSUMED) and row.get(PRODUCED)
    ]
    if shares:
        yield (
            f"While both run, consumers get {min(shares):.2f} to {max(shares):.2f} of what is "
            f"produced ({len(shares)} results)."
        )


def _loaded(rows: Sequence[Flat]) -> Iterable[str]:
    """How consumption of loaded data grows with consumers, where each has a partition."""
    loaded = [
        row
        for row in rows
        if row[SCENARIO] == CONSUME and row.get(CONSUMED) and row[PLAINTEXT] == "off"
    ]
    for count in sorted({row[CONSUMERS] for row in loaded} - {1}):
        pairs = []
        for partitions in sorted({row[PARTITIONS] for row in loaded if row[PARTITIONS] >= count}):
            here = [row for row in loaded if row[PARTITIONS] == partitions]
            found = ratio(
                values((row for row in here if row[CONSUMERS] == count), CONSUMED),
                values((row for row in here if row[CONSUMERS] == 1), CONSUMED),
            )
            if found is not None:
                pairs.append((partitions, found))
        if pairs:
            each = ", ".join(f"{found.median:.2f} with {p} partitions" for p, found in pairs)
            yield f"Of loaded data {count} consumers get, of what one gets: {each}."


def _faults(rows: Sequence[Flat]) -> Iterable[str]:
    """What was left after a broker was killed; a result that lost something counts as failed."""
    hit = [row for row in rows if row.get(KILLED) is not None and row.get("lost") is not None]
    if not hit:
        return
    lost, twice = (sum(row.get(name) or 0 for row in hit) for name in ("lost", "duplicates"))
    images = sum(row["images"] or 0 for row in hit)
    stall, recovery = values(hit, "stall_max_s"), values(hit, "recovery_s")
    brokers = sorted({row[KILLED] for row in hit})
    yield (
        f"A broker was killed in mid-run {len(hit)} times (number "
        f"{', '.join(map(str, brokers))}): of {images:,} acknowledged images {lost:,} were lost, "
        f"{twice:,} came twice; acknowledgements stood still for up to "
        f"{max(stall, default=0):.1f} s, all replicas were in sync again after up to "
        f"{max(recovery, default=0):.1f} s."
    )


_RATES = ((PRODUCE, PRODUCED, PRODUCER_CPU), (CONSUME, CONSUMED, CONSUMER_CPU))
"""Scenario → its rate, and the CPU time of an image."""


def _brokers(data: ReportData, rows: Sequence[Flat]) -> Iterable[tuple[str, str]]:
    """What several brokers change, everything else being the same."""
    changed = (BROKERS, "replication", "acks", "idempotence")
    for scenario, measure, _ in _RATES:
        here = [
            row
            for row in rows
            if row[SCENARIO] == scenario and row.get(measure) and row.get(KILLED) is None
        ]
        for same in alike(here, data, *changed):
            one = [r for r in same if r[BROKERS] == 1 and not r["acks"] and not r["idempotence"]]
            several = [row for row in same if row[BROKERS] > 1]
            for (brokers, replication, *_), chosen in groups(several, *changed):
                found = ratio(values(chosen, measure), values(one, measure))
                if found is not None:
                    what = f"{brokers} brokers, replication {replication}"
                    what += settings(data, chosen[0], ("acks", "idempotence"))
                    yield (
                        f"{what} ({_cell(data, chosen[0], changed)})",
                        f"{times(found)} the rate of one broker",
                    )


def _encrypted(data: ReportData, rows: Sequence[Flat]) -> Iterable[tuple[str, str]]:
    """What TLS and passwords leave of the rate in plaintext, everything else being the same."""
    for measure in (PRODUCED, CONSUMED):
        for same in alike([row for row in rows if row.get(measure)], data, PLAINTEXT):
            found = ratio(
                values((row for row in same if row[PLAINTEXT] == "off"), measure),
                values((row for row in same if row[PLAINTEXT] == "on"), measure),
            )
            if found is not None:
                yield (
                    f"with TLS and passwords ({_cell(data, same[0], (PLAINTEXT,))})",
                    f"{times(found)} the rate in plaintext",
                )


def _cell(data: ReportData, row: Flat, but: Collection[str] = ()) -> str:
    """`produce_only, kafka-python, 4 partitions, compression zstd`."""
    told = (SCENARIO, CLIENT, PARTITIONS, CONSUMERS, *but)
    rest = settings(data, row, [field for field in data.varied if field not in told])
    return f"{row[SCENARIO]}, {row[CLIENT]}, {_partitions(row)}{rest}"


def _partitions(row: Flat) -> str:
    count = row[PARTITIONS]
    return f"{count} partition{'s' if count > 1 else ''}"


def _tools(data: ReportData, rows: Sequence[Flat]) -> Iterable[tuple[str, str]]:
    """Our programs beside Kafka's own, everything but the program being the same."""
    for scenario, measure, cost in _RATES:
        here = [row for row in rows if row[SCENARIO] == scenario and row.get(measure)]
        for same in alike(here, data, CLIENT):
            java = [row for row in same if row[CLIENT] == JAVA]
            for _, mine in groups((row for row in same if row[CLIENT] != JAVA), CLIENT):
                found = ratio(values(mine, measure), values(java, measure))
                if found is not None:
                    yield (
                        f"beside Kafka's tool ({_cell(data, mine[0])})",
                        f"{times(found)} its rate{_costs(mine, java, cost)}",
                    )
            found = ratio(values(java, measure), values(java, "tool_rate_per_s"))
            if found is not None:
                yield (
                    f"the tool by our arithmetic ({_cell(data, java[0])})",
                    f"{times(found)} its own summary, which counts from the hand-over",
                )


def _costs(mine: Sequence[Flat], java: Sequence[Flat], measure: str) -> str:
    """What explains a ratio of rates where both are limited by their processors."""
    costs = middle(mine, measure), middle(java, measure)
    if costs[0] is None or costs[1] is None:
        return ""
    return f"; {1e6 * costs[0]:.1f} us of CPU per image, the tool {1e6 * costs[1]:.1f}"


def _own_cost(rows: Sequence[Flat]) -> Iterable[tuple[str, str]]:
    """What the benchmark itself costs, of what its programs use."""
    for what, own, whole in (
        ("producer", "own_producer_cpu_s_per_image", PRODUCER_CPU),
        ("consumer", "own_consumer_cpu_s_per_image", CONSUMER_CPU),
    ):
        pairs = [
            (float(row[own]), float(row[own]) / float(row[whole]))
            for row in rows
            if row.get(own) is not None and row.get(whole)
        ]
        if pairs:
            costs, shares = zip(*pairs, strict=True)
            words = f"{1e6 * min(costs):.1f} to {1e6 * max(costs):.1f} us of CPU per image, "
            words += f"{100 * min(shares):.1f} to {100 * max(shares):.1f} % of the process"
            yield f"the benchmark's own cost, {what}", words


def _limits(data: ReportData, rows: Sequence[Flat]) -> Iterable[tuple[str, str]]:
    """What was in use to its limit, in the result in the middle of each kind of cell."""
    for (scenario, client, consumers), here in groups(rows, SCENARIO, CLIENT, CONSUMERS):
        told = typical((row for row in here if row.get("bottleneck")), "cpu_share_max")
        if told is not None:
            several = CONSUMERS in data.varied and scenario != PRODUCE
            who = f", {consumers} consumer{'s' if consumers > 1 else ''}" if several else ""
            yield f"busiest, {scenario}, {client}{who}", str(told["bottleneck"])


def _link(data: ReportData, rows: Sequence[Flat]) -> Iterable[tuple[str, str]]:
    """How full the link was, and what else was the limit where it was not."""
    shaped = [row for row in rows if row.get(LINK) is not None]
    for same in alike(shaped, data):
        share = middle(same, LINK)
        row = typical(same, LINK)
        if share is None or row is None:
            continue
        words = f"{share:.3f} of the goodput measured before"
        if share < FULL:
            words += f", less than {FULL:g}: {row.get('bottleneck') or 'nothing was at its limit'}"
        yield f"link of {data.show(BANDWIDTH, row[BANDWIDTH])} ({_cell(data, row)})", words
