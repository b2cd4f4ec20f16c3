"""Services that a factor switches between cells, through the node's own validated helper."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence

from streambed.experiment.placement import KafkaPlacement, Placement
from streambed.inventory import Node
from streambed.runner.failure import CellFailure
from streambed.runner.remote import Fleet, Session

HELPER = ("sudo", "-n", "/usr/local/sbin/streambed-service")
PLAINTEXT_HELPER = ("sudo", "-n", "/usr/local/sbin/streambed-plaintext")
# `start` returns when the service has proved its health; a JVM on 0.2 of a core takes its time.
_START_TIMEOUT_S = 180.0
_LOOK_EVERY_S = 0.5


async def start(session: Session, unit: str) -> None:
    """Start a unit and return when it serves."""
    await session.run([*HELPER, "start", unit], timeout_s=_START_TIMEOUT_S)


async def stop(session: Session, unit: str) -> None:
    """Stop a unit."""
    await session.run([*HELPER, "stop", unit], timeout_s=_START_TIMEOUT_S)


async def kill(session: Session, unit: str) -> None:
    """Kill a unit's processes with SIGKILL: an injected fault; systemd starts it again."""
    await session.run([*HELPER, "kill", unit])


async def status(session: Session, unit: str) -> str:
    """What systemd says of a unit: active, activating, failed, ..."""
    return (await session.run([*HELPER, "status", unit], check=False)).stdout.strip()


async def until_active(session: Session, unit: str) -> None:
    """Until a unit that starts by itself serves again.

    Raises:
        CellFailure: it does not in time.
    """
    deadline = time.monotonic() + _START_TIMEOUT_S
    while (found := await status(session, unit)) != "active":
        if time.monotonic() > deadline:
            raise CellFailure(
                f"{session.node.name}: {unit} is {found} after {_START_TIMEOUT_S:g} s, not active"
            )
        await asyncio.sleep(_LOOK_EVERY_S)


@contextlib.asynccontextmanager
async def brokers_running(
    fleet: Fleet, placement: Placement | KafkaPlacement
) -> AsyncIterator[None]:
    """Standby brokers that this cell uses run while it does; the others always do.

    With `plaintext` the way without encryption is open as long, to brokers without the topic too.
    """
    standby = [node for node in placement.brokers if "kafka_standby" in node.groups]
    opened = placement.cluster if placement.plaintext else ()
    try:
        for node in standby:
            await start(fleet.on(node), "kafka")
        await _switch_plaintext(fleet, opened, "open")
        yield
    finally:
        await _switch_plaintext(fleet, opened, "close")
        for node in standby:
            await stop(fleet.on(node), "kafka")


async def close_plaintext(fleet: Fleet) -> None:
    """No broker lets anybody in without encryption, whatever a killed run left."""
    groups = ("kafka_brokers", "kafka_standby")
    nodes = {node.name: node for group in groups for node in fleet.inventory.group(group)}
    await _switch_plaintext(fleet, tuple(nodes.values()), "close")


async def _switch_plaintext(fleet: Fleet, nodes: Sequence[Node], action: str) -> None:
    await asyncio.gather(*(fleet.on(node).run([*PLAINTEXT_HELPER, action]) for node in nodes))


async def use_workers(fleet: Fleet, used: Sequence[Node]) -> None:
    """Exactly these Spark workers run when it returns, each of them registered with the master.

    They stay so: what the next cell uses may be the same. `sweep` puts all of them back.
    """
    names = {node.name for node in used}
    nodes = fleet.inventory.group("spark_workers")
    await asyncio.gather(
        *((start if node.name in names else stop)(fleet.on(node), "spark-worker") for node in nodes)
    )
