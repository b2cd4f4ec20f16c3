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


BROKER_PORT, CONTROLLER_PORT, OPEN_PORT = 9092, 9093, 9095
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
    "spark_master": (MASTER, HISTORY),
    "spark_workers": (WORKER,),
}


ONE_SHOTS = {
    "streambed-firewall.service": None,
    "streambed-link.service": "/var/lib/streambed-link",
}
"""Units of ours that end after their work: unit → where it may write."""

_KAFKAS = ("kafka_brokers", "kafka_controllers")
_KAFKAS_CLIENTS = (
    *("clients", "kafka_consumers", "kafka_standby", "spark_master", "spark_workers"),
    *_KAFKAS,
)
_FLOWS: tuple[tuple[tuple[str, ...], tuple[str, ...], tuple[int, ...]], ...] = (
    (_KAFKAS_CLIENTS, ("kafka_brokers", "kafka_standby"), (BROKER_PORT,)),
    (_KAFKAS, _KAFKAS, (CONTROLLER_PORT,)),
    (("spark_workers",), ("spark_master",), (7077, 8080)),
    (("spark_master",), ("spark_workers",), (7078, 8081)),
)
"""Who may come to whom: groups, groups, ports of services.

Nobody comes to 9095, programs of its own node neither, but in some cells.
"""


def may_reach(source: Node, target: Node) -> set[int]:
    """The ports of a node's services that a node must get through to, itself included."""
    if source == target:
        return ports(target) - {OPEN_PORT}
    allowed = {
        port
        for sources, targets, found in _FLOWS
        if source.groups & set(sources) and target.groups & set(targets)
        for port in found
    }
    return allowed & ports(target)


def _kafka(node: Node) -> list[Service]:
    """Broker, controller or both; brokers are controllers where the bed has no others."""
    broker, controller = "kafka_brokers" in node.groups, "kafka_controllers" in node.groups
    others = node.variables.get("groups", {}).get("kafka_controllers")
    ports = [
        *([BROKER_PORT, OPEN_PORT] if broker else []),
        *([CONTROLLER_PORT] if controller or (broker and not others) else []),
    ]
    service = ("kafka.service", "kafka", tuple(ports), "/var/lib/kafka", "kafka-server-", "kafka")
    return [Service(*service)] if ports else []


def services(node: Node) -> list[Service]:
    """The services that run on this node."""
    others = (each for group, found in _BY_GROUP.items() if group in node.groups for each in found)
    return [*_kafka(node), *others]


def ports(node: Node) -> set[int]:
    return {port for service in services(node) for port in service.ports}


def cluster(bed: Inventory) -> list[Node]:
    """The nodes on the other side of the link."""
    return [node for node in bed.nodes if "clients" not in node.groups]


def switchable(node: Node) -> list[str]:
    """Units that the runner may switch on this node."""
    kafka = {"kafka_brokers", "kafka_controllers", "kafka_standby"} & node.groups
    worker = {"spark_workers"} & node.groups
    return [*(["kafka"] if kafka else []), *(["spark-worker"] if worker else [])]
