"""What a node of a bed is expected to run, from its groups."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from streambed.inventory import Inventory, Node

ROOT = Path(__file__).resolve().parents[2]
SSH_PORT = 22


@dataclass(frozen=True)
class Service:
    """A unit on a node: its user, its ports on the bed's address, where it may write."""

    unit: str
    user: str
    ports: tuple[int, ...]
    writable: str
    jar: str
    version: str
    """The name of its pin."""


KAFKA = Service("kafka.service", "kafka", (9092, 9093), "/var/lib/kafka", "kafka-server-", "kafka")
MASTER = Service(
    "spark-master.service", "spark", (7077, 8080), "/var/lib/spark", "spark-core_2.13-", "spark"
)
WORKER = Service(
    "spark-worker.service", "spark", (7078, 8081), "/var/lib/spark", "spark-core_2.13-", "spark"
)
HISTORY = Service(
    "spark-history.service", "spark", (18080,), "/var/lib/spark", "spark-core_2.13-", "spark"
)

_BY_GROUP = {
    "kafka_brokers": (KAFKA,),
    "spark_master": (MASTER, HISTORY),
    "spark_workers": (WORKER,),
}


def services(node: Node) -> list[Service]:
    """The services that run on this node."""
    return [each for group, found in _BY_GROUP.items() if group in node.groups for each in found]


def ports(node: Node) -> set[int]:
    return {port for service in services(node) for port in service.ports}


def cluster(bed: Inventory) -> list[Node]:
    """The nodes on the other side of the link."""
    return [node for node in bed.nodes if "clients" not in node.groups]


def switchable(node: Node) -> list[str]:
    """Units that the runner may switch on this node."""
    kafka = {"kafka_brokers", "kafka_standby"} & node.groups
    worker = {"spark_workers"} & node.groups
    return [*(["kafka"] if kafka else []), *(["spark-worker"] if worker else [])]
