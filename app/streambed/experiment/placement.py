"""Which node does what in a cell, from the inventory's groups and the cell's factors."""

from dataclasses import dataclass

from streambed.errors import StreambedError
from streambed.experiment.factors import StreamingConfiguration
from streambed.inventory import Inventory, Node

KAFKA_PORT = 9092
SPARK_MASTER_PORT = 7077


def bootstrap_of(brokers: tuple[Node, ...]) -> str:
    """`address:port` of every broker, as Kafka's clients take it."""
    return ",".join(f"{node.bed_address}:{KAFKA_PORT}" for node in brokers)


@dataclass(frozen=True)
class Placement:
    """The nodes of a streaming cell by what they do."""

    producer: Node
    brokers: tuple[Node, ...]
    master: Node
    """Spark master and driver."""
    workers: tuple[Node, ...]
    """Those in use."""
    idle: tuple[Node, ...]
    """Workers of the bed that are stopped."""

    peers: tuple[Node, ...]
    """The other side of the producer's shaped link: every node that is no client."""

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The producer, and every node of the cluster, in use or not."""
        return (self.producer, *self.peers)

    def parts(self) -> dict[str, tuple[Node, ...]]:
        """Part of the pipeline → the nodes that do it."""
        return {
            "client": (self.producer,),
            "broker": self.brokers,
            "master": (self.master,),
            "workers": self.workers,
        }

    @property
    def bootstrap(self) -> str:
        """Where Kafka's clients start: `address:port` of every broker."""
        return bootstrap_of(self.brokers)

    @property
    def far_end(self) -> Node:
        """Where what crosses the link arrives: the broker, or a worker when the broker is near."""
        far = [node for node in self.brokers if node in self.peers]
        return far[0] if far else self.workers[0]

    @property
    def master_url(self) -> str:
        """Where a Spark application registers."""
        return f"spark://{self.master.bed_address}:{SPARK_MASTER_PORT}"

    def roles(self) -> dict[str, list[str]]:
        """Node → what it does."""
        result: dict[str, list[str]] = {}
        entries = [
            (self.producer, "producer"),
            *((node, "broker") for node in self.brokers),
            (self.master, "Spark master and driver"),
            *((node, "Spark worker") for node in self.workers),
            *((node, "Spark worker, stopped") for node in self.idle),
        ]
        for node, role in entries:
            result.setdefault(node.name, []).append(role)
        return result


def place(config: StreamingConfiguration, bed: Inventory) -> Placement:
    """Place a cell.

    Raises:
        StreambedError: the bed has no node for one of the parts, or fewer workers than asked for.
    """
    group = "kafka_standby" if config.broker_on == "client" else "kafka_brokers"
    producers = _members(bed, "clients", "to produce images")
    workers = _members(bed, "spark_workers", "to run a Spark worker")
    used = len(workers) if config.workers is None else config.workers
    if used > len(workers):
        raise StreambedError(f"{bed.path}: {used} workers are asked for, it has {len(workers)}")
    return Placement(
        producer=producers[0],
        brokers=_members(bed, group, f"to run the broker (broker_on: {config.broker_on})"),
        master=_members(bed, "spark_master", "to run the Spark master")[0],
        workers=workers[:used],
        idle=workers[used:],
        peers=tuple(node for node in bed.nodes if "clients" not in node.groups),
    )


def _members(bed: Inventory, group: str, purpose: str) -> tuple[Node, ...]:
    members = bed.group(group)
    if not members:
        raise StreambedError(
            f"{bed.path}: no node in group {group!r} {purpose}",
            hint=f"put a node of the inventory into {group!r}",
        )
    return members
