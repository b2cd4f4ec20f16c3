"""The link during a run: set, shown and cleared through the node's one root helper."""

import json
from typing import Any

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
