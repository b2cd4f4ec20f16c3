"""Puts a bed back as a cell expects it, whatever a killed run left."""

from streambed.experiment.placement import bootstrap_of
from streambed.runner import services, shaping, topics
from streambed.runner.remote import RUN_USER, Fleet

RUN_DIR = "/var/lib/streambed/runs"
"""Files of cells on the nodes."""


async def sweep(fleet: Fleet) -> None:
    """Clear the link, standby services, stray programs, topics and files; start every worker."""
    await shaping.set_rate(fleet, None)
    for node in fleet.inventory.group("kafka_standby"):
        await services.stop(fleet.on(node), "kafka")
    await services.use_workers(fleet, fleet.inventory.group("spark_workers"))
    for session in fleet.all():
        await session.run(["pkill", "-x", "-u", RUN_USER, "iperf3"], check=False)
    brokers = fleet.inventory.group("kafka_brokers")
    await topics.remove_leftovers(fleet.on(brokers[0]), bootstrap_of(brokers))
    for session in fleet.all():
        await session.run(["rm", "-rf", RUN_DIR])
