"""Services that a factor switches between cells, through the node's own validated helper."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from streambed.experiment.placement import Placement
from streambed.inventory import Node
from streambed.runner.remote import Fleet, Session

WORKER = "spark-worker"
HELPER = ("sudo", "-n", "/usr/local/sbin/streambed-service")
# `start` returns when the service has proved its health; a JVM on 0.4 of a core takes its time.
_START_TIMEOUT_S = 120.0


async def start(session: Session, unit: str) -> None:
    """Start a unit and return when it serves."""
    await session.run([*HELPER, "start", unit], timeout_s=_START_TIMEOUT_S)


async def stop(session: Session, unit: str) -> None:
    """Stop a unit."""
    await session.run([*HELPER, "stop", unit], timeout_s=_START_TIMEOUT_S)


@contextlib.asynccontextmanager
async def workers_running(
    fleet: Fleet, placement: Placement, count: int
) -> AsyncIterator[tuple[Node, ...]]:
    """The first `count` of the Spark workers run, and no other; all of them do at the end."""
    used, others = placement.workers[:count], placement.workers[count:]
    try:
        await asyncio.gather(
            *(start(fleet.on(node), WORKER) for node in used),
            *(stop(fleet.on(node), WORKER) for node in others),
        )
        yield used
    finally:
        await asyncio.gather(*(start(fleet.on(node), WORKER) for node in others))


@contextlib.asynccontextmanager
async def brokers_running(fleet: Fleet, placement: Placement) -> AsyncIterator[None]:
    """Standby brokers that this cell uses run while it does; the others always do."""
    standby = [node for node in placement.brokers if "kafka_standby" in node.groups]
    try:
        for node in standby:
            await start(fleet.on(node), "kafka")
        yield
    finally:
        for node in standby:
            await stop(fleet.on(node), "kafka")
