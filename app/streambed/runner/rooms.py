"""Brokers' disks and services: whether a cell fits, and what is wrong where one has failed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence

from streambed.inventory import Node
from streambed.pipelines.topics import NewTopic, assignment
from streambed.quantities import format_size
from streambed.runner import services
from streambed.runner.failure import BedFailure, CellFailure
from streambed.runner.remote import Fleet, Session

LOGS = "/var/lib/kafka"
SPARE = 1.15
"""Room for what a record has beside its payload, and for indexes."""

LEAST_FREE_BYTES = 64 * 2**20
"""With less, a broker closes its log, and itself with it."""


async def _free_bytes(session: Session) -> int:
    done = await session.run(["df", "--output=avail", "-B1", LOGS])
    return int(done.stdout.split()[-1])


def payload_of_brokers(
    brokers: Sequence[Node], replication: int, images: Sequence[int], image_bytes: int
) -> dict[Node, float]:
    """Bytes of payload that each broker will hold of a topic, its replicas together.

    Args:
        brokers: those in use.
        replication: of the topic.
        images: in each partition.
        image_bytes: payload of one.
    """
    held = dict.fromkeys(brokers, 0.0)
    replicas = assignment(NewTopic("", len(images), replication), list(range(len(brokers))))
    for count, holders in zip(images, replicas, strict=True):
        for holder in holders:
            held[brokers[holder]] += count * image_bytes
    return held


async def require(fleet: Fleet, needed_bytes: Mapping[Node, float]) -> None:
    """Refuse a cell that would fill a broker's disk, before anything is stored.

    Args:
        fleet: of the bed.
        needed_bytes: broker → payload of its replicas, uncompressed.

    Raises:
        CellFailure: names the broker and the numbers.
    """
    free = await asyncio.gather(*(_free_bytes(fleet.on(node)) for node in needed_bytes))
    for (node, payload), there in zip(needed_bytes.items(), free, strict=True):
        needed = SPARE * payload + LEAST_FREE_BYTES
        if there < needed:
            raise CellFailure(
                f"{node.name} has {format_size(there)} free in {LOGS}, the cell needs "
                f"{format_size(needed)}; nothing was stored"
            )


@contextlib.asynccontextmanager
async def explained(fleet: Fleet, brokers: Sequence[Node]) -> AsyncIterator[None]:
    """A cell that fails inside tells what is wrong with its brokers, where something is.

    Raises:
        CellFailure: names brokers and what they lack, or what the cell itself said.
    """
    try:
        yield
    except BedFailure:
        raise
    except CellFailure as failure:
        found = await troubles(fleet, brokers)
        if found:
            raise CellFailure(f"{'; '.join(found)} ({failure})") from failure
        raise


async def troubles(fleet: Fleet, brokers: Sequence[Node]) -> list[str]:
    """What is wrong with brokers after a cell failed, one sentence each; empty when nothing is."""
    found = await asyncio.gather(*(_trouble(fleet.on(node)) for node in brokers))
    return [text for text in found if text]


async def _trouble(session: Session) -> str:
    name = session.node.name
    try:
        free, state = await _free_bytes(session), await services.status(session, "kafka")
    except CellFailure as failure:
        return str(failure)
    if free < LEAST_FREE_BYTES:
        return (
            f"{name}: {LOGS} is full ({format_size(free)} free), kafka is {state}; what was stored "
            "before stays: free some space, then `streambed-service start kafka`"
        )
    # A standby is stopped by now, as it should be.
    expected = "active" if "kafka_brokers" in session.node.groups else "inactive"
    return "" if state == expected else f"{name}: kafka is {state}"
