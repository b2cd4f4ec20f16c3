"""Flag `disturbed`: something died while the cell ran, and no fault was injected.

Deaths that heal themselves leave traces: a service has another process than before, a Spark
application other executors, a result record the attempt number of a task that was tried again.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from streambed.gates.reading import Reading
from streambed.runner.remote import Session

UNITS = ("kafka", "spark-master", "spark-worker")
"""Services whose end during a cell disturbs it; a node has those of its roles."""

Lives = Mapping[str, str]
"""`NODE UNIT` → process id and number of restarts, in systemd's words."""

Executors = Mapping[str, Mapping[str, Any]]
"""Id → `host` and `cores`."""


async def read(sessions: Sequence[Session]) -> dict[str, str]:
    """What runs as each service of each node."""
    done = await asyncio.gather(
        *(
            session.run(
                ["systemctl", "show", "--property=Id,MainPID,NRestarts,LoadState", *UNITS],
            )
            for session in sessions
        )
    )
    lives: dict[str, str] = {}
    for session, completed in zip(sessions, done, strict=True):
        lives |= parse(session.node.name, completed.stdout)
    return lives


def parse(node: str, text: str) -> dict[str, str]:
    """Read `systemctl show`: one paragraph per unit; units that the node has not are left out."""
    lives = {}
    for paragraph in text.strip().split("\n\n"):
        values = dict(line.partition("=")[::2] for line in paragraph.splitlines())
        if values.get("LoadState") == "loaded":
            unit = values["Id"].removesuffix(".service")
            lives[f"{node} {unit}"] = f"process {values['MainPID']}, restart {values['NRestarts']}"
    return lives


def judge(
    before: Lives,
    after: Lives,
    executors_before: Executors,
    executors_after: Executors,
    retried_records: int,
) -> Reading:
    """Compare two looks at a cell.

    Args:
        before: services when the images that count began to be sent.
        after: the same when all were classified.
        executors_before: Spark's when the application was ready; a new one gets a new id.
        executors_after: the same when it was stopped.
        retried_records: result records written by a task's second or later attempt.
    """
    found = [
        f"{name}: {life}, then {after.get(name, 'none')}"
        for name, life in before.items()
        if after.get(name) != life
    ]
    found += [
        f"executor {name} on {executor['host']} is gone"
        for name, executor in executors_before.items()
        if name not in executors_after
    ]
    found += [
        f"executor {name} on {executor['host']} is new"
        for name, executor in executors_after.items()
        if name not in executors_before
    ]
    if retried_records:
        found.append(f"{retried_records} result records of repeated tasks")
    return Reading(
        gate="nothing_died",
        ok=not found,
        measured="; ".join(found) or "nothing",
        expected="no service restarted, no executor replaced, no task repeated",
        flag="disturbed",
    )
