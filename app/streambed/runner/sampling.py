"""What every node uses while something runs: samplers around it, their samples kept beside it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from streambed.inventory import Node
from streambed.results import resources
from streambed.results.resources import Limits, NodeUse
from streambed.runner.program import Program
from streambed.runner.remote import Fleet

_START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 15.0


@contextlib.asynccontextmanager
async def sampled(fleet: Fleet, directory: Path) -> AsyncIterator[None]:
    """Sample every node of the bed; at the end `directory` has `resources.FILE`.

    When what runs inside fails, the samples until then are kept, too.

    Raises:
        CellFailure: a sampler does not start, or ended before it was told to.
    """
    async with contextlib.AsyncExitStack() as stack:
        nodes = fleet.inventory.nodes
        samplers = [
            await stack.enter_async_context(
                Program(fleet.on(node), "sample", {"address": node.bed_address})
            )
            for node in nodes
        ]
        await asyncio.gather(*(s.until("ready", timeout_s=_START_TIMEOUT_S) for s in samplers))
        try:
            yield
            for sampler in samplers:
                sampler.command("stop")
            await asyncio.gather(*(s.until("done", timeout_s=_STOP_TIMEOUT_S) for s in samplers))
        finally:
            uses = {n.name: _use(n, s) for n, s in zip(nodes, samplers, strict=True)}
            resources.write(directory / resources.FILE, uses)


def _use(node: Node, sampler: Program) -> NodeUse:
    ready = sampler.last("ready")
    assert ready is not None  # waited for before anything was sampled
    limits = Limits(
        cpus=node.cpus or float(ready["cpus"]),
        memory_bytes=node.memory_bytes or int(ready["memory_bytes"]),
        mtu_bytes=int(ready["mtu_bytes"]),
        cpus_in_force=ready["cpus_in_force"],
        memory_bytes_in_force=ready["memory_bytes_in_force"],
    )
    return NodeUse.of_events((e for e in sampler.events if e.get("event") == "sample"), limits)
