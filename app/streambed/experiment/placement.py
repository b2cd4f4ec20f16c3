"""Which node does what in a cell, from the inventory's groups and the cell's factors."""

from dataclasses import dataclass

from streambed.errors import StreambedError
from streambed.experiment.factors import StreamingConfiguration
from streambed.experiment.kafka import BrokerConfiguration
from streambed.inventory import Inventory, Node
from streambed.pipelines.kafka_access import PLAINTEXT

KAFKA_PORT = 9092
KAFKA_OPEN_PORT = 9095
"""Without encryption and passwords; the firewall lets nobody in unless a cell asks for it."""
SPARK_MASTER_PORT = 7077


def servers_of(brokers: tuple[Node, ...], *, plaintext: bool) -> list[str]:
    """`address:port` of every broker, as its clients see it."""
    port = KAFKA_OPEN_PORT if plaintext else KAFKA_PORT
    return [f"{node.bed_address}:{port}" for node in brokers]


def bootstrap_of(brokers: tuple[Node, ...], *, plaintext: bool = False) -> str:
    """Where node programs come to these brokers, see pipelines/kafka_access.py."""
    return (PLAINTEXT if plaintext else "") + ",".join(servers_of(brokers, plaintext=plaintext))


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
    plaintext: bool = False
    """Whether Kafka's clients come without encryption and passwords."""

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
    def cluster(self) -> tuple[Node, ...]:
        """Every broker that clients may be led to."""
        return self.brokers

    @property
    def servers(self) -> list[str]:
        """`address:port` of every broker, as its clients see it."""
        return servers_of(self.brokers, plaintext=self.plaintext)

    @property
    def bootstrap(self) -> str:
        """Where the node programs come to Kafka."""
        return bootstrap_of(self.brokers, plaintext=self.plaintext)

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
        plaintext=config.plaintext == "on",
    )


@dataclass(frozen=True)
class KafkaPlacement:
    """The nodes of a cell that ends at Kafka's consumers, by what they do."""

    producer: Node
    brokers: tuple[Node, ...]
    """Those that hold the topic."""
    idle: tuple[Node, ...]
    """Brokers of the same cluster that hold none of it."""
    consumers: tuple[Node, ...]
    """One for each consumer; a node may have several."""
    peers: tuple[Node, ...]
    """The other side of the producer's shaped link: every node that is no client."""
    plaintext: bool = False
    """Whether Kafka's clients come without encryption and passwords."""

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The producer, and every node of the cluster, in use or not."""
        return (self.producer, *self.peers)

    @property
    def cluster(self) -> tuple[Node, ...]:
        """Every broker: what is asked of one may be for another, as for the controller."""
        return (*self.brokers, *self.idle)

    @property
    def keeper(self) -> Node:
        """Where topics are made and replicas asked about: beside a broker, as the account asks."""
        return self.brokers[-1]

    def parts(self) -> dict[str, tuple[Node, ...]]:
        """Part of the pipeline → the nodes that do it."""
        return {
            "client": (self.producer,),
            "broker": self.brokers,
            "consumers": tuple(dict.fromkeys(self.consumers)),
        }

    @property
    def addresses(self) -> list[str]:
        """`address:port` of the brokers in use, as their clients see them."""
        return servers_of(self.brokers, plaintext=self.plaintext)

    @property
    def bootstrap(self) -> str:
        """Where node programs come to Kafka: to any broker of the cluster."""
        return bootstrap_of(self.cluster, plaintext=self.plaintext)

    @property
    def far_end(self) -> Node:
        """Where what crosses the link arrives: a broker, or a consumer when brokers are near."""
        far = [node for node in self.brokers if node in self.peers]
        return far[0] if far else self.consumers[0]

    def roles(self) -> dict[str, list[str]]:
        """Node → what it does."""
        result: dict[str, list[str]] = {}
        entries = [
            (self.producer, "producer"),
            *((node, "broker") for node in self.brokers),
            *((node, "broker without the topic") for node in self.idle),
            *((node, f"consumer {n}") for n, node in enumerate(self.consumers, 1)),
        ]
        for node, role in entries:
            result.setdefault(node.name, []).append(role)
        return result


def brokers_of(config: BrokerConfiguration, bed: Inventory) -> tuple[Node, ...]:
    """The brokers of the side that a cell asks for; empty where there is none.

    A bed may have its only brokers on the producer's node (study B); else a standby is started.
    """
    brokers = bed.group("kafka_brokers")
    near = tuple(node for node in brokers if "clients" in node.groups)
    if config.broker_on == "client":
        return near or bed.group("kafka_standby")
    return tuple(node for node in brokers if node not in near)


def place_kafka(config: BrokerConfiguration, bed: Inventory) -> KafkaPlacement:
    """Place a cell of pipeline `kafka` or `cameras`.

    Raises:
        StreambedError: the bed has no node for one of the parts, or fewer brokers than asked for.
    """
    brokers = brokers_of(config, bed)
    if len(brokers) < config.brokers:
        group = "kafka_standby" if config.broker_on == "client" else "kafka_brokers"
        raise StreambedError(
            f"{bed.path}: {config.brokers} brokers are asked for (broker_on: {config.broker_on}), "
            f"it has {len(brokers)}",
            hint=f"put nodes of the inventory into {group!r}",
        )
    readers = bed.group("kafka_consumers") or bed.group("spark_workers")
    if not readers:
        readers = _members(bed, "kafka_consumers", "to consume")
    return KafkaPlacement(
        producer=_members(bed, "clients", "to produce images")[0],
        brokers=brokers[: config.brokers],
        idle=brokers[config.brokers :],
        consumers=tuple(readers[n % len(readers)] for n in range(config.consumers)),
        peers=tuple(node for node in bed.nodes if "clients" not in node.groups),
        plaintext=config.plaintext == "on",
    )


def _members(bed: Inventory, group: str, purpose: str) -> tuple[Node, ...]:
    members = bed.group(group)
    if not members:
        raise StreambedError(
            f"{bed.path}: no node in group {group!r} {purpose}",
            hint=f"put a node of the inventory into {group!r}",
        )
    return members
