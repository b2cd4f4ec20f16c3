"""The link during a run: set, shown and cleared through the node's one root helper."""

import json
from collections.abc import Collection
from typing import Any

from streambed.errors import StreambedError
from streambed.quantities import format_rate
from streambed.runner.failure import CellFailure
from streambed.runner.remote import Fleet, Session

# tc shows three digits less than it keeps.
_SHOWN_WITHIN = 1e-3
HELPER = ("sudo", "-n", "/usr/local/sbin/streambed-link")


async def _call(session: Session, *arguments: str) -> dict[str, Any]:
    done = await session.run([*HELPER, *arguments, "--json"])
    state: dict[str, Any] = json.loads(done.stdout)
    return state


async def show(session: Session) -> dict[str, Any]:
    """What the kernel of a client node does to the link now."""
    return await _call(session, "show")


async def refuse_rates(fleet: Fleet, rates_bit_per_s: Collection[float]) -> None:
    """Refuse, before any cell runs, rates that the interface of a client node cannot carry.

    Raises:
        StreambedError: names the node, its interface and the speed.
    """
    fastest = max(rates_bit_per_s, default=0.0)
    for node in fleet.inventory.group("clients") if fastest else ():
        state = await show(fleet.on(node))
        speed = state["speed_mbit_per_s"]
        if speed is not None and fastest > speed * 1e6:
            raise StreambedError(
                f"{node.name}: a bandwidth of {format_rate(fastest)} is above the speed of its "
                f"interface {state['interface']}, {format_rate(speed * 1e6)}",
                hint="leave out the level: --set bandwidth=...",
            )


async def set_rate(fleet: Fleet, rate_bit_per_s: float | None) -> None:
    """Shape the link of every client node; None takes the shaping away.

    Raises:
        CellFailure: the node refused, or its kernel shows another rate than was asked for.
    """
    for node in fleet.inventory.group("clients"):
        session = fleet.on(node)
        if rate_bit_per_s is None:
            await _call(session, "clear")
            continue
        state = await _call(session, "set", "--rate", str(round(rate_bit_per_s)))
        for direction in ("up", "down"):
            seen = state[direction]["rate_bit_per_s"] if state[direction] else None
            if seen is None or abs(seen / rate_bit_per_s - 1) > _SHOWN_WITHIN:
                raise CellFailure(
                    f"{node.name}: link {direction} is at {seen} bit/s, not {rate_bit_per_s:.0f}"
                )
