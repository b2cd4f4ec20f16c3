"""Asks nodes for their time, through the SSH sessions that are open already."""

import asyncio
import contextlib
import functools
import time
from collections.abc import Iterable
from dataclasses import replace

from streambed.inventory import Node
from streambed.results.clocks import NodeClock
from streambed.runner.program import Event, Program
from streambed.runner.remote import Fleet, Session

ROUNDS = 20
"""The shortest round trip of so many bounds the offset best."""

_START_TIMEOUT_S = 30.0
_ANSWER_TIMEOUT_S = 10.0


async def read(fleet: Fleet, nodes: Iterable[Node]) -> dict[str, NodeClock]:
    """The clock of each node, against the controller's; nodes that share one are not asked.

    Raises:
        CellFailure: a node does not answer.
    """
    asked = {node.name: node for node in nodes}
    command = ["cat", "/proc/sys/kernel/random/boot_id"]
    answers = await asyncio.gather(*(fleet.on(node).run(command) for node in asked.values()))
    boots = [answer.stdout.strip() for answer in answers]
    if len(set(boots)) == 1:
        return {name: NodeClock(boot) for name, boot in zip(asked, boots, strict=True)}
    async with contextlib.AsyncExitStack() as stack:
        programs = {
            name: await stack.enter_async_context(Program(fleet.on(node), "clock", {}))
            for name, node in asked.items()
        }
        ready = await asyncio.gather(
            *(program.until("ready", timeout_s=_START_TIMEOUT_S) for program in programs.values())
        )
        # One after the other: a round trip that waits for another one bounds less.
        clocks = {
            name: await _measure(program, told)
            for (name, program), told in zip(programs.items(), ready, strict=True)
        }
        for program in programs.values():
            program.command("stop")
            await program.end(timeout_s=_ANSWER_TIMEOUT_S)
    return clocks


async def now(session: Session) -> float:
    """Unix seconds by the node's own clock, which others are compared with.

    Raises:
        CellFailure: it does not answer.
    """
    return float((await session.run(["date", "+%s.%N"])).stdout)


async def _measure(program: Program, ready: Event) -> NodeClock:
    best = NodeClock(ready["boot_id"], bound_s=float("inf"), chrony_bound_s=ready["chrony_bound_s"])
    for number in range(ROUNDS):
        sent = time.time()
        program.command("tell", number=number)
        told = await program.until_true(
            functools.partial(_numbered, program, number),
            what="its time",
            timeout_s=_ANSWER_TIMEOUT_S,
        )
        received = time.time()
        bound_s = (received - sent) / 2
        if bound_s < best.bound_s:
            offset_s = told["at"] - (sent + received) / 2
            best = replace(best, offset_s=offset_s, bound_s=bound_s)
    return best


def _numbered(program: Program, number: int) -> Event | None:
    last = program.last("time")
    return last if last is not None and last["number"] == number else None
