"""Gate 6: each factor of a cell is proved to have acted, by what was read back.

The trigger has `trigger.py`, the bandwidth `goodput.py`. Every reading here compares what a part of
the pipeline itself reported with what the cell asked for.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from streambed.gates.reading import Reading
from streambed.pipelines.records import MOST_IMAGES
from streambed.pipelines.spark_conf import LEAN_ONLY
from streambed.pipelines.way import CHUNK_IMAGES, LEAN

RATE_TOLERANCE = 0.01
"""A constant rate was offered when the images were sent at it within this part."""

UNCOMPRESSED = 0.98
"""Stored bytes per byte of payload and key: a log without compression holds no fewer than this."""


def broker_acts(
    expected: Collection[str],
    *,
    producer: Collection[str],
    spark: Collection[str],
    stored_bytes: Mapping[str, Mapping[str, int]],
) -> Reading:
    """`broker_on`: the brokers of that side led the image topic, served Spark, and hold the images.

    Args:
        expected: host:port of the brokers that the cell's placement names.
        producer: leaders of the image topic's partitions, as the producer's client saw them.
        spark: the bootstrap servers in effect in Spark's source.
        stored_bytes: broker → partition → bytes of the image topic, as the brokers said.
    """
    holding = {broker for broker, sizes in stored_bytes.items() if sum(sizes.values())}
    seen = {"producer": set(producer), "spark": set(spark), "holding": holding}
    wanted = set(expected)
    return Reading(
        gate="broker_acts",
        ok=bool(producer) and bool(holding) and all(found <= wanted for found in seen.values()),
        measured="; ".join(f"{who}: {_words(found)}" for who, found in seen.items()),
        expected=f"none but {_words(wanted)}",
    )


def plaintext_acts(
    asked: str, producer: Collection[str], servers: Collection[str], source: Mapping[str, str]
) -> Reading:
    """`plaintext`: the listener that producer and Spark used, which speaks one protocol only.

    Args:
        asked: `on` or `off`.
        producer: leaders of the image topic's partitions, as the producer's client saw them.
        servers: host:port of the brokers' listener for the level.
        source: the options in effect in Spark's source.
    """
    protocol = source.get("kafka.security.protocol", "PLAINTEXT")
    wanted = "PLAINTEXT" if asked == "on" else "SASL_SSL"
    return Reading(
        gate="plaintext_acts",
        ok=protocol == wanted and bool(producer) and set(producer) <= set(servers),
        measured=f"producer: {_words(producer)}; spark: {protocol}",
        expected=f"{wanted}, at {_words(servers)}",
    )


def producer_acts(asked: str, client: str) -> Reading:
    """`producer`: the library that sent the images, as it named itself."""
    return Reading(
        gate="producer_acts",
        ok=client.split(" ", maxsplit=1)[0] == asked,
        measured=client,
        expected=asked,
    )


def partitions_act(
    asked: int, producer: int, batches: Iterable[Mapping[str, Any]], images: int
) -> Reading:
    """`partitions`: what the producer's client saw, and those that Spark read images from.

    Args:
        asked: partitions of the image topic.
        producer: partitions the producer spread its images over.
        batches: the classifier's `batch` events.
        images: how many were sent; few images may leave partitions empty.
    """
    read: set[str] = set()
    for batch in batches:
        ends = batch.get("end_offsets") or {}
        read |= {partition for partition, offset in ends.items() if offset}
    # Blocks of at most 128 / partitions images take turns.
    filled = len(read) == asked or (images < 128 * asked and 0 < len(read) <= asked)
    return Reading(
        gate="partitions_act",
        ok=producer == asked and filled,
        measured=f"{producer} written, {len(read)} read",
        expected=f"{asked} written and read",
    )


def compression_acts(
    codec: str, stored_bytes: Mapping[str, Mapping[str, int]], images: int, image_bytes: int
) -> Reading:
    """`compression`: bytes the brokers stored per byte that the producer was given.

    Args:
        codec: what the cell asked for; `none` is a codec that saves nothing.
        stored_bytes: broker → partition → bytes; each replica holds every image.
        images: records in the topic, those of the warm-up included.
        image_bytes: payload and key of one.
    """
    stored = sum(size for sizes in stored_bytes.values() for size in sizes.values())
    ratio = stored / (images * image_bytes * _replicas(stored_bytes)) if images else 0.0
    saves = codec != "none"
    return Reading(
        gate="compression_acts",
        ok=0 < ratio < UNCOMPRESSED if saves else ratio >= UNCOMPRESSED,
        measured=round(ratio, 4),
        expected=f"{'below' if saves else 'at least'} {UNCOMPRESSED:g} bytes stored per byte sent "
        f"({codec})",
    )


def _replicas(stored_bytes: Mapping[str, Mapping[str, int]]) -> float:
    """Copies of each partition, on average."""
    partitions = {partition for sizes in stored_bytes.values() for partition in sizes}
    copies = sum(len(sizes) for sizes in stored_bytes.values())
    return copies / len(partitions) if partitions else 1.0


def offered_rate_acts(asked_per_s: float, images: int, sending_s: float) -> Reading:
    """`offered_rate`: images sent over the time between the first and the last send."""
    sent_per_s = (images - 1) / sending_s if sending_s > 0 else 0.0
    return Reading(
        gate="offered_rate_acts",
        ok=abs(sent_per_s / asked_per_s - 1) <= RATE_TOLERANCE,
        measured=round(sent_per_s, 1),
        expected=f"{asked_per_s:g} within {RATE_TOLERANCE:.0%}",
        unit="images/s",
    )


def model_acts(expected: str, reported: Sequence[str]) -> Reading:
    """`model` and `weights`: the tag of the model in every result record.

    Args:
        expected: the tag of the model that the cell names, from its files on the controller.
        reported: tags found in the records of the cell.
    """
    return Reading(
        gate="model_acts",
        ok=list(reported) == [expected],
        measured=_words(set(reported)),
        expected=expected,
    )


def conversion_acts(asked: str, reported: Sequence[str]) -> Reading:
    """`conversion`: how the images of each result record reached the model, as its worker says."""
    return Reading(
        gate="conversion_acts",
        ok=list(reported) == [asked],
        measured=_words(set(reported)),
        expected=asked,
    )


def workers_act(
    workers: Collection[str],
    executors: Mapping[str, Mapping[str, Any]],
    worked: Collection[str],
    at_least: int,
) -> Reading:
    """`workers`: one executor on each worker in use, and results from no other node.

    Args:
        workers: addresses of the nodes that the cell's placement names.
        executors: id → `host` and `cores`, as Spark told when the application was ready.
        worked: addresses of nodes that results came from.
        at_least: so many of them must have given results, where there are so many.
    """
    hosts = sorted(str(executor["host"]) for executor in executors.values())
    wanted, seen = set(workers), set(worked)
    busy = min(len(wanted), at_least)
    return Reading(
        gate="workers_act",
        ok=hosts == sorted(wanted) and seen <= wanted and len(seen) >= busy,
        measured=f"executors on {', '.join(hosts) or 'none'}; results from {_words(seen)}",
        expected=f"one executor on each of {_words(wanted)}, results from {busy} or more of them",
    )


def threads_act(asked: int, executors: Mapping[str, Mapping[str, Any]]) -> Reading:
    """`threads`: tasks at a time that Spark gives each executor (it calls them cores)."""
    found = sorted({int(executor["cores"]) for executor in executors.values()})
    return Reading(
        gate="threads_act",
        ok=found == [asked],
        measured=", ".join(map(str, found)) or "no executor",
        expected=f"{asked} on each executor",
    )


def spark_pages_act(asked: str, effective: Mapping[str, str]) -> Reading:
    """`spark_pages`: the two settings that serve the pages and keep the event log."""
    names = ("spark.ui.enabled", "spark.eventLog.enabled")
    found = [effective.get(name) for name in names]
    return Reading(
        gate="spark_pages_act",
        ok=found == ["true" if asked == "on" else "false"] * len(names),
        measured=", ".join(f"{n} {value}" for n, value in zip(names, found, strict=True)),
        expected=f"both for `{asked}`",
    )


def spark_settings_act(asked: str, effective: Mapping[str, str]) -> Reading:
    """`spark_settings`: how many of the lean settings Spark has in effect.

    Args:
        asked: `lean` or `plain`.
        effective: Spark's own configuration, as it read it back.
    """
    found = sum(effective.get(name) == value for name, value in LEAN_ONLY.items())
    wanted = len(LEAN_ONLY) if asked == LEAN else 0
    return Reading(
        gate="spark_settings_act",
        ok=found == wanted,
        measured=found,
        expected=f"{wanted} of {len(LEAN_ONLY)} lean settings in effect",
    )


def batches_reported(missed: Sequence[int]) -> Reading:
    """Spark reported every micro-batch; without one its times and offsets would be guessed."""
    return Reading(
        gate="batches_reported",
        ok=not missed,
        measured=len(missed),
        expected="0 micro-batches without a report",
    )


def _words(found: Collection[str]) -> str:
    return ", ".join(sorted(found)) or "none"


def calls_act(asked: str, calls: Sequence[tuple[int, int, int]]) -> Reading:
    """`calls`: how many images each call of the model had, as the result records show.

    One record is written for each call, or few when it had more images than fit a message.

    Args:
        asked: `chunked` or `one_per_batch`.
        calls: micro-batch, partition and number of images of each result record.
    """
    if asked == "chunked":
        largest = max((images for _, _, images in calls), default=0)
        return Reading(
            gate="calls_act",
            ok=0 < largest <= CHUNK_IMAGES,
            measured=f"calls with {largest} images at most",
            expected=f"at most {CHUNK_IMAGES}",
        )
    found: dict[tuple[int, int], list[int]] = {}
    for batch, partition, images in calls:
        found.setdefault((batch, partition), []).append(images)
    wrong = sum(len(sizes) != math.ceil(sum(sizes) / MOST_IMAGES) for sizes in found.values())
    return Reading(
        gate="calls_act",
        ok=bool(found) and not wrong,
        measured=f"{wrong} of {len(found)} with more than one call",
        expected="one call for each partition of a micro-batch",
    )
