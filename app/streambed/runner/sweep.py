"""Puts a bed back as a cell expects it, whatever a killed run left."""

import asyncio

from streambed.experiment.placement import bootstrap_of
from streambed.runner import faults, services, shaping, topics
from streambed.runner.remote import RUN_USER, Fleet

RUN_DIR = "/var/lib/streambed/runs"
"""Files of cells on the nodes."""


async def sweep(fleet: Fleet) -> None:
    """Clear faults, link, standby services, stray programs, topics, files; start every worker."""
    await _undo_faults(fleet)
    await shaping.set_rate(fleet, None)
    await services.close_plaintext(fleet)
    for node in fleet.inventory.group("kafka_standby"):
        await services.stop(fleet.on(node), "kafka")
    await services.use_workers(fleet, fleet.inventory.group("spark_workers"))
    brokers = fleet.inventory.group("kafka_brokers")
    await topics.remove_leftovers(fleet.on(brokers[0]), bootstrap_of(brokers))
    # pkill says 1 when there was nothing to end.
    script = f"pkill -x -u {RUN_USER} iperf3; mkdir -p $1 && find $1 -mindepth 1 -delete"
    command = ["sh", "-c", script, "sh", RUN_DIR]
    await asyncio.gather(*(session.run(command) for session in fleet.all()))


async def _undo_faults(fleet: Fleet) -> None:
    sessions = fleet.all()
    looks = (session.run(["test", "-e", faults.LEFT], check=False) for session in sessions)
    left = zip(sessions, await asyncio.gather(*looks), strict=True)
    await asyncio.gather(*(faults.undo(s.node) for s, look in left if look.status == 0))
