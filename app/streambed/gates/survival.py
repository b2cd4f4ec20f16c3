"""An injected fault acted, nothing was lost by it, and everything came back without a hand."""

import asyncio
from collections.abc import Mapping, Sequence

from streambed.gates.disturbance import UNITS
from streambed.gates.reading import Reading
from streambed.inventory import Node
from streambed.runner.remote import Session


def units_of(node: Node) -> tuple[str, ...]:
    """What has to be there after a boot, as far as the node has it."""
    ours = (*UNITS, "spark-history", "streambed-firewall")
    # Other nodes have its unit from their image, and nothing that it acts on.
    return (*ours, "streambed-link") if "clients" in node.groups else ours


async def services(sessions: Sequence[Session]) -> dict[str, str]:
    """`NODE UNIT` → its state, of the services that start at every boot of their node."""
    done = await asyncio.gather(
        *(
            session.run(
                [
                    *("systemctl", "show", "--property=Id,ActiveState,LoadState,UnitFileState"),
                    *units_of(session.node),
                ]
            )
            for session in sessions
        )
    )
    found: dict[str, str] = {}
    for session, completed in zip(sessions, done, strict=True):
        found |= parse(session.node.name, completed.stdout)
    return found


def parse(node: str, text: str) -> dict[str, str]:
    """Read `systemctl show`: one paragraph per unit."""
    found = {}
    for paragraph in text.strip().split("\n\n"):
        values = dict(line.partition("=")[::2] for line in paragraph.splitlines())
        if values.get("LoadState") == "loaded" and values.get("UnitFileState") == "enabled":
            found[f"{node} {values['Id'].removesuffix('.service')}"] = values["ActiveState"]
    return found


def fault_acts(kind: str, proof: str, *, acted: bool) -> Reading:
    """`fault`: what shows that it was there."""
    return Reading("fault_acts", ok=acted, measured=proof, expected=f"a proof of {kind}")


def recovered(recovery_s: float | None, limits: str) -> Reading:
    """Results came in time again before the cell ended.

    Args:
        recovery_s: from the fault on; None when they did not.
        limits: what counts as in time, in words.
    """
    return Reading(
        gate="recovered",
        ok=recovery_s is not None,
        measured="not before the end" if recovery_s is None else round(recovery_s, 1),
        expected=limits,
        unit="" if recovery_s is None else "s",
    )


def clocks_close(apart_s: float, recovery_s: float | None) -> Reading:
    """What was felt of the fault is longer than the clocks that tell it may still be off.

    Args:
        apart_s: uncertainty of the brokers' clocks against that of the node the fault was made on.
        recovery_s: 0 when nothing was felt; None when it lasted to the end of the cell.
    """
    return Reading(
        gate="clocks_close",
        ok=not recovery_s or apart_s <= recovery_s,
        measured=round(apart_s, 6),
        expected="any: nothing is told by it"
        if not recovery_s
        else f"at most what was felt of the fault, {recovery_s:.4g}",
        unit="s",
    )


def services_back(states: Mapping[str, str]) -> Reading:
    """Every service that should run does, and nobody has started it by hand."""
    away = [f"{name} is {state}" for name, state in states.items() if state != "active"]
    return Reading(
        gate="services_back",
        ok=not away,
        measured="; ".join(away) or f"{len(states)} active",
        expected="all active",
    )


def executors_back(workers: int, executors: int) -> Reading:
    """As many executors at the end as workers in use."""
    return Reading(
        "executors_back", ok=executors == workers, measured=executors, expected=f"{workers}"
    )
