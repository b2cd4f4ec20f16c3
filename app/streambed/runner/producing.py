"""The producer of a cell: its settings, its spec, and its own rate with nothing in the way."""

from typing import Any

from streambed.experiment.factors import StreamingConfiguration
from streambed.experiment.placement import Placement
from streambed.runner import shaping, topics
from streambed.runner.program import Program
from streambed.runner.remote import Fleet

PROBE_IMAGES = {"confluent-kafka": 60_000, "kafka-python": 15_000}
"""Two seconds of either library, or more, on the quota of a small bed's client."""

MIN_BATCH_BYTES = 16 * 1024
MAX_BATCH_BYTES = 256 * 1024
MAX_QUEUE_BYTES = 4 * 1024 * 1024

_PROBE_TIMEOUT_S = 120.0
_STOP_TIMEOUT_S = 60.0


def sender_config(config: StreamingConfiguration) -> dict[str, Any]:
    """Settings of the producer's client.

    A slow link gets small batches and a short queue: images are to arrive evenly, and what waits
    in the client after the last send would be an idle producer on a busy link. With the library's
    own settings only what may wait is bounded.
    """
    rate = config.bandwidth_mbit_per_s
    if rate is None:
        batch_bytes, queue_bytes = MAX_BATCH_BYTES, MAX_QUEUE_BYTES
    else:
        bytes_per_s = rate * 1e6 / 8
        batch_bytes = round(min(MAX_BATCH_BYTES, max(MIN_BATCH_BYTES, 0.03 * bytes_per_s)))
        queue_bytes = round(min(MAX_QUEUE_BYTES, max(4 * batch_bytes, 0.3 * bytes_per_s)))
    bounded = {"queue_bytes": queue_bytes, "compression": config.compression}
    if config.producer_settings == "library":
        return {**bounded, **dict.fromkeys(("batch_bytes", "linger_ms", "acks", "idempotence"))}
    return {**bounded, "batch_bytes": batch_bytes}


def producer_spec(
    config: StreamingConfiguration,
    placement: Placement,
    dataset: str,
    topic: str,
    *,
    count: int,
    deadline_s: float,
    first_id: int = 0,
    rate_per_s: float | None = None,
    raw_path: str | None = None,
) -> dict[str, Any]:
    """The spec of program `produce`; `rate_per_s` None sends as fast as the link takes them.

    With `raw_path` acknowledgements of a sample are kept there, on the node.
    """
    return {
        "bootstrap": placement.bootstrap,
        "topic": topic,
        "producer": config.producer,
        "dataset": dataset,
        "first_id": first_id,
        "count": count,
        "rate_per_s": rate_per_s,
        "config": sender_config(config),
        "deadline_s": deadline_s,
        "raw_path": raw_path,
    }


async def probe(
    fleet: Fleet, placement: Placement, config: StreamingConfiguration, dataset: str, name: str
) -> float:
    """The producer's own rate, images/s, with nothing shaped and nothing else to do.

    Raises:
        CellFailure: it could not be measured.
    """
    await shaping.set_rate(fleet, None)
    broker = fleet.on(placement.brokers[0])
    topic = topics.image_topic(f"probe-{name}", config.given_partitions, placement)
    spec = producer_spec(
        config,
        placement,
        dataset,
        topic["name"],
        count=PROBE_IMAGES[config.producer],
        deadline_s=_PROBE_TIMEOUT_S,
    )
    async with (
        topics.existing(broker, placement.bootstrap, [topic]),
        Program(fleet.on(placement.producer), "produce", spec) as produce,
    ):
        done = await produce.until("done", timeout_s=_PROBE_TIMEOUT_S)
        await produce.end(timeout_s=_STOP_TIMEOUT_S)
    return float(done["acked"] / (done["last_ack_at"] - done["first_send_at"]))
