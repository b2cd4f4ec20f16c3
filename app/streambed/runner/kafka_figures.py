"""From what a Kafka cell saw to its figures, and the gates that arithmetic alone can answer."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from streambed.experiment.cells import Cell
from streambed.experiment.kafka import KafkaConfiguration
from streambed.experiment.placement import KafkaPlacement
from streambed.gates import quotas
from streambed.gates.reading import Reading
from streambed.pipelines import senders
from streambed.results import bottleneck, resources, throughput
from streambed.results.measures import KafkaMeasures
from streambed.results.spread import jain
from streambed.results.steady import NoSteadyPart, Progress, Steady, find_steady
from streambed.runner.kafka_cell import KafkaSeen
from streambed.runner.program import Event


def measures(
    cell: Cell, place: KafkaPlacement, seen: KafkaSeen, raw: Path
) -> tuple[KafkaMeasures, list[Reading]]:
    """Every figure of a cell that ran to its end.

    Args:
        cell: the cell.
        place: which nodes did what.
        seen: what it observed.
        raw: the attempt's directory, with the nodes' samples.
    """
    config = cell.kafka
    found = KafkaMeasures(
        goodput_up_mbit_per_s=seen.link.goodput.up_mbit_per_s if seen.link.goodput else None,
        goodput_down_mbit_per_s=seen.link.goodput.down_mbit_per_s if seen.link.goodput else None,
        steal=seen.taken.steal if seen.taken else None,
        cpu_foreign=seen.taken.foreign if seen.taken else None,
        cpu_pressure=seen.taken.pressure if seen.taken else None,
        stored_bytes_per_image=sum(sum(sizes.values()) for sizes in seen.stored.values())
        / (cell.given_images * config.replication),
    )
    readings: list[Reading] = []
    parts: list[Steady] = []
    if config.produces:
        found = _of_producer(found, cell, seen)
        steps = throughput.produced(seen.producer_events)
        part = _steady(steps, cell.given_images, "produce", readings)
        if part is not None:
            parts.append(part)
            found = replace(found, produce_rate_per_s=part.image_rate_per_s)
            found = replace(found, link_utilisation=_utilisation(found, cell, place))
    if config.consumes:
        found = _of_consumers(found, config, seen)
        steps = throughput.consumed(seen.consumer_events, _until_s(config, seen))
        part = _steady(steps, cell.given_images, "consume", readings)
        if part is not None:
            parts.append(part)
            found = replace(found, consume_rate_per_s=part.image_rate_per_s)
    if parts:
        # The producer's, where there is one: consumers follow it.
        found = replace(found, steady_s=parts[0].span_s, **_use(seen, place, raw, parts[0]))
    readings += quotas.judge(
        resources.read(raw / resources.FILE), place.nodes, seen.began_at, seen.ended_at
    )
    return found, readings


def _steady(
    steps: Sequence[Progress], images: int, what: str, readings: list[Reading]
) -> Steady | None:
    try:
        return find_steady(steps, throughput.warm_up_images(images))
    except NoSteadyPart as error:
        expected = f"8 looks at what was {what}d"
        readings.append(
            Reading(f"steady_part_{what}", ok=False, measured=error.message, expected=expected)
        )
        return None


def _until_s(config: KafkaConfiguration, seen: KafkaSeen) -> float:
    """Consumers of a loaded topic are judged to its end, others while something is sent."""
    return float(seen.produced["last_send_at"]) if config.produces else math.inf


def _of_producer(found: KafkaMeasures, cell: Cell, seen: KafkaSeen) -> KafkaMeasures:
    done = seen.produced
    sent = done.get("sent", done.get("images"))
    span_s = makespan_s(done)
    return replace(
        found,
        images_sent=sent,
        produce_makespan_rate_per_s=cell.given_images / span_s if span_s else None,
        records_per_request=done.get("records_per_request"),
        batch_mean_bytes=done.get("batch_bytes"),
        producer_cpu_s_per_image=done["cpu_s"] / cell.given_images,
        own_producer_cpu_s_per_image=done.get("own_cpu_s_per_image"),
        producer_profile=throughput.profile_words(done.get("profile"), cell.given_images),
        tool_rate_per_s=done.get("tool_rate_per_s"),
        late_max_s=done.get("late_max_s"),
        stall_max_s=throughput.longest_gap_s(throughput.produced(seen.producer_events)),
        recovery_s=None
        if seen.killed_at is None or seen.recovered_at is None
        else seen.recovered_at - seen.killed_at,
    )


def makespan_s(done: Mapping[str, Any]) -> float | None:
    """First send to last acknowledgement; None of Java's tool, which does not tell."""
    first, last = done.get("first_send_at"), done.get("last_ack_at")
    return None if first is None or last is None else last - first


def _of_consumers(
    found: KafkaMeasures, config: KafkaConfiguration, seen: KafkaSeen
) -> KafkaMeasures:
    counts = [_got(done) for done in seen.consumers]
    got = sum(counts)
    ends = [done["complete_at"] for done in seen.consumers if done.get("complete_at") is not None]
    begins = [done["began_at"] for done in seen.consumers if "began_at" in done]
    own = [done["own_cpu_s"] for done in seen.consumers if "own_cpu_s" in done]
    # Consumers that wait for a producer to start do not count.
    sent_at = seen.produced["first_send_at"] if config.produces else -math.inf
    span_s = max(ends) - max(min(begins), sent_at) if ends and begins else None
    return replace(
        found,
        consume_makespan_rate_per_s=got / span_s if span_s else None,
        # Those without a partition had nothing.
        consumer_fairness=jain([*counts, *[0] * (config.consumers - len(counts))]) if got else None,
        consumer_cpu_s_per_image=sum(done["cpu_s"] for done in seen.consumers) / max(1, got),
        own_consumer_cpu_s_per_image=sum(own) / max(1, got) if own else None,
    )


def _got(done: Event) -> int:
    return int(done["unique"] if "unique" in done else done["images"])


def _utilisation(found: KafkaMeasures, cell: Cell, place: KafkaPlacement) -> float | None:
    """Of the uplink: where brokers are beyond it, and nothing is compressed."""
    far = all(node in place.peers for node in place.brokers)
    goodput, rate = found.goodput_up_mbit_per_s, found.produce_rate_per_s
    if goodput is None or rate is None or not far or cell.kafka.compression != "none":
        return None
    return rate * cell.payload_bytes * 8 / (goodput * 1e6)


def _use(seen: KafkaSeen, place: KafkaPlacement, raw: Path, part: Steady) -> dict[str, Any]:
    """What the nodes used in the steady part."""
    nodes = resources.read(raw / resources.FILE)
    # A node's clock may be a little ahead of the samples of another.
    start_s, end_s = max(part.start_s, seen.began_at), min(part.end_s, seen.ended_at)
    goodputs = {}
    if seen.link.goodput is not None:
        up, down = seen.link.goodput.up_mbit_per_s, seen.link.goodput.down_mbit_per_s
        goodputs[place.producer.name] = (up, down)
    fields: dict[str, Any] = bottleneck.measures(
        bottleneck.utilisations(nodes, start_s, end_s, goodputs)
    )
    for role, members in place.parts().items():
        chosen = [nodes[node.name] for node in members]
        fields[f"{role}_cpu_share"] = bottleneck.cpu_share(chosen, start_s, end_s)
    return fields


def lost_and_duplicates(cell: Cell, seen: KafkaSeen) -> tuple[int, int | None, int]:
    """Of what was sent: ids that are not there, records beyond an id's first, unknown records.

    After a fault, or where a consumer waited in vain, what counts is what is stored then. Java's
    records have no ids: they are counted.
    """
    if seen.counted:
        return cell.given_images - int(seen.counted["images"]), None, 0
    counts = seen.checked or seen.consumers
    if counts and "unique" not in counts[0]:
        return cell.given_images - sum(map(_got, counts)), None, 0
    unique, duplicates, unknown = (
        sum(int(done[name]) for done in counts) for name in ("unique", "duplicates", "unknown")
    )
    return cell.given_images - unique, duplicates, unknown


def clients_of(cell: Cell, seen: KafkaSeen) -> list[str]:
    """Libraries that took part in what was measured, as they name themselves."""
    clients = [done["client"] for done in seen.consumers]
    if cell.kafka.produces or cell.kafka.client in senders.NAMES:
        clients.append(seen.produced["client"])
    return clients
