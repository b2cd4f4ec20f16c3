"""Services that a factor switches between cells, through the node's own validated helper."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

from streambed.experiment.placement import Placement
from streambed.inventory import Node
from streambed.runner.remote import Fleet, Session

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


async def use_workers(fleet: Fleet, used: Sequence[Node]) -> None:
    """Exactly these Spark workers run when it returns, each of them registered with the master.

    They stay so: what the next cell uses may be the same. `sweep` puts all of them back.
    """
    names = {node.name for node in used}
    nodes = fleet.inventory.group("spark_workers")
    await asyncio.gather(
        *((start if node.name in names else stop)(fleet.on(node), "spark-worker") for node in nodes)
    )
