"""What is alive in the JVMs of a long cell: each collects its garbage from time to time.

A JVM takes memory until its heap is full, whether it needs it or not, which for hours looks like a
leak and can hide one. After a collection it holds what is alive, and takes no more than that and
the garbage of one interval.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from streambed.inventory import Node
from streambed.pipelines.process_groups import group_of
from streambed.results.heaps import FILE, Heap, write
from streambed.results.soak import LEAST_S
from streambed.runner.remote import Fleet

HELPER = ("sudo", "-n", "/usr/local/sbin/streambed-heaps")
EVERY_S = 60.0
_TIMEOUT_S = 120.0


@contextlib.asynccontextmanager
async def collected(
    fleet: Fleet, nodes: Sequence[Node], directory: Path, after_s: float = LEAST_S / 2
) -> AsyncIterator[None]:
    """Have all JVMs of these nodes collect, every minute; at the end `directory` has `FILE`.

    Args:
        fleet: connections to the bed.
        nodes: any; one without a JVM has nothing to say.
        directory: of the attempt.
        after_s: so late that no cell of minutes feels it, and early enough for the second half of
            a window in which growth is judged.

    Raises:
        CellFailure: a JVM or its node did not answer; what runs inside is cancelled then.
    """
    found: list[Heap] = []
    try:
        async with asyncio.TaskGroup() as group:
            collecting = group.create_task(_collect(fleet, nodes, after_s, found))
            yield
            collecting.cancel()
    except BaseExceptionGroup as several:
        # What ran inside and the collections may fail of one cause; either tells it.
        raise several.exceptions[-1] from None
    finally:
        if found:
            write(directory / FILE, found)


async def _collect(fleet: Fleet, nodes: Sequence[Node], after_s: float, found: list[Heap]) -> None:
    await asyncio.sleep(after_s)
    while True:
        for heaps in await asyncio.gather(*(_on(fleet, node) for node in nodes)):
            found += heaps
        await asyncio.sleep(EVERY_S - time.time() % EVERY_S)


async def _on(fleet: Fleet, node: Node) -> list[Heap]:
    at_s = time.time()
    done = await fleet.on(node).run([*HELPER, "collect"], timeout_s=_TIMEOUT_S)
    return [
        Heap(at_s, node.name, group_of(each["command"]), int(each["live_bytes"]))
        for each in json.loads(done.stdout)
    ]
