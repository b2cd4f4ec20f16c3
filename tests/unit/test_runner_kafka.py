"""The runner of study B without a bed: specs, room on disks, a broker that is killed."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from streambed import inventory
from streambed.experiment.cells import Cell
from streambed.experiment.kafka import KafkaConfiguration
from streambed.experiment.placement import place_kafka
from streambed.inventory import Node
from streambed.pipelines.produce import ProduceSpec
from streambed.pipelines.read import ReadSpec
from streambed.pipelines.spec import parse
from streambed.pipelines.topics import NewTopic
from streambed.runner import kafka_figures, kafka_specs, rooms, services
from streambed.runner.failure import CellFailure
from streambed.runner.kafka_cell import KafkaSeen
from streambed.runner.remote import Completed, Fleet

HA = inventory.load("ha")
SAFE = KafkaConfiguration(brokers=3, replication=3, partitions=6, consumers=2, acks="all")


def spec(config: KafkaConfiguration) -> dict[str, Any]:
    placed = place_kafka(config, HA)
    return kafka_specs.produce_spec(config, placed, "t", dataset="mnist", count=100, deadline_s=9.0)


def test_a_producer_is_told_what_a_cell_says_and_no_more() -> None:
    told = parse(ProduceSpec, spec(SAFE))
    assert (told.config.acks, told.config.idempotence) == ("all", None)
    assert (told.config.batch_bytes, told.config.linger_ms) == (None, None)
    assert told.config.statistics
    own = KafkaConfiguration(batch_bytes=16384, linger_s=0.05, idempotence="on", acks="none")
    told = parse(ProduceSpec, {**spec(own), "config": {**spec(own)["config"], "acks": "all"}})
    assert (told.config.batch_bytes, told.config.linger_ms) == (16384, 50.0)
    assert told.config.idempotence is True


def test_at_a_constant_rate_more_may_wait() -> None:
    paced = parse(ProduceSpec, spec(KafkaConfiguration(offered_rate_images_per_s=10.0)))
    closed = parse(ProduceSpec, spec(KafkaConfiguration()))
    assert paced.config.queue_bytes > closed.config.queue_bytes
    assert paced.rate_per_s == 10.0


def test_a_topic_is_loaded_by_the_cells_client_or_for_javas_by_another() -> None:
    for client, loader in (("kafka-python", "kafka-python"), ("java", "confluent-kafka")):
        config = KafkaConfiguration(client=client)
        told = kafka_specs.load_spec(
            config, place_kafka(config, HA), "t", dataset="mnist", count=10, deadline_s=1.0
        )
        assert parse(ProduceSpec, told).producer == loader


def test_the_topic_is_on_the_brokers_in_use() -> None:
    topic = parse(NewTopic, kafka_specs.topic_of("x", SAFE, place_kafka(SAFE, HA)))
    assert len(topic.brokers) == topic.replication == 3
    assert topic.config == {"min.insync.replicas": 2}
    alone = KafkaConfiguration(brokers=1)
    topic = parse(NewTopic, kafka_specs.topic_of("x", alone, place_kafka(alone, HA)))
    assert topic.brokers == ["10.83.4.12:9092"]
    assert topic.config == {"min.insync.replicas": 1}


def test_consumers_share_partitions_as_a_group_would() -> None:
    assert kafka_specs.shares(5, 2) == [[0, 2, 4], [1, 3]]
    assert kafka_specs.shares(2, 4) == [[0], [1]]
    told = [
        parse(ReadSpec, each)
        for each in kafka_specs.read_specs(
            SAFE,
            place_kafka(SAFE, HA),
            "t",
            client="confluent-kafka",
            expected=[5, 6, 7, 8, 9, 10],
            consumers=2,
            give_up_s=1.0,
        )
    ]
    assert [(one.partitions, one.expect, one.count) for one in told] == [
        ([0, 2, 4], 21, 45),
        ([1, 3, 5], 24, 45),
    ]


def test_javas_tools_get_the_settings_by_their_own_names() -> None:
    config = KafkaConfiguration(client="java", acks="leader", linger_s=0.005, batch_bytes=16384)
    told = kafka_specs.perf_spec(
        config, place_kafka(config, HA), "t", "produce", dataset="mnist", count=1000
    )
    assert told["properties"] == {
        "acks": "1",
        "linger.ms": 5,
        "batch.size": 16384,
        "compression.type": "none",
    }
    assert told["warm_up"] == 100


def test_what_is_stored_says_what_is_lost_where_a_consumer_waited_in_vain() -> None:
    cell = cast(Cell, SimpleNamespace(given_images=10))
    got = {"unique": 9, "duplicates": 0, "unknown": 0, "gave_up": True}
    seen = KafkaSeen(consumers=[got])
    assert kafka_figures.lost_and_duplicates(cell, seen) == (1, 0, 0)
    seen.checked = [{**got, "unique": 4}, {**got, "unique": 6, "duplicates": 2}]
    assert kafka_figures.lost_and_duplicates(cell, seen) == (0, 2, 0)


# --- brokers --------------------------------------------------------------------------------


class Nodes:
    """A fleet whose brokers answer as they are told to."""

    inventory = HA

    def __init__(self, free: dict[str, int], state: dict[str, list[str]]) -> None:
        self.told: list[str] = []
        self._free, self._state = free, state

    def on(self, node: Node) -> "Nodes._Session":
        return self._Session(self, node)

    @property
    def fleet(self) -> Fleet:
        return cast(Fleet, self)

    class _Session:
        def __init__(self, nodes: "Nodes", node: Node) -> None:
            self._nodes, self.node = nodes, node

        async def run(self, argv: list[str], **_: Any) -> Completed:
            if argv[0] == "df":
                return Completed(0, f"Avail\n{self._nodes._free[self.node.name]}\n", "")
            if tuple(argv[:3]) == services.PLAINTEXT_HELPER:
                self._nodes.told.append(f"{argv[3]} {self.node.name}")
                return Completed(0, "", "")
            action = argv[3]
            self._nodes.told.append(f"{action} {self.node.name}")
            states = self._nodes._state[self.node.name]
            now = states.pop(0) if len(states) > 1 else states[0]
            return Completed(0 if now == "active" else 3, f"{now}\n", "")


BROKERS = HA.group("kafka_brokers")
ROOMY = dict.fromkeys(("broker1", "broker2", "broker3"), 10**10)


def active() -> dict[str, list[str]]:
    return {node.name: ["active"] for node in BROKERS}


def test_a_cell_that_would_fill_a_disk_is_refused_before_it_stores_anything() -> None:
    nodes = Nodes({**ROOMY, "broker2": 10**8}, active())
    asyncio.run(rooms.require(nodes.fleet, dict.fromkeys(BROKERS, 2.8e7)))
    # Others need none.
    asyncio.run(rooms.require(nodes.fleet, {BROKERS[0]: 8e9, BROKERS[2]: 0.0}))
    with pytest.raises(CellFailure, match=r"broker2 has 95.4 MiB free.*nothing was stored"):
        asyncio.run(rooms.require(nodes.fleet, dict.fromkeys(BROKERS, 3e7)))


@pytest.mark.parametrize(
    ("partitions", "replication", "held"),
    [(1, 1, [100, 0, 0]), (4, 1, [50, 25, 25]), (1, 2, [100, 100, 0]), (3, 3, [75, 75, 75])],
)
def test_each_broker_needs_room_for_its_own_replicas(
    partitions: int, replication: int, held: list[int]
) -> None:
    images = [100] if partitions == 1 else [25] * partitions
    found = rooms.payload_of_brokers(BROKERS, replication, images, 784)
    assert list(found.values()) == [784 * count for count in held]
    assert [node.name for node in found] == ["broker1", "broker2", "broker3"]


def test_what_is_wrong_with_a_broker_is_told() -> None:
    assert asyncio.run(rooms.troubles(Nodes(ROOMY, active()).fleet, BROKERS)) == []
    nodes = Nodes({**ROOMY, "broker3": 4096}, {**active(), "broker3": ["activating"]})
    (said,) = asyncio.run(rooms.troubles(nodes.fleet, BROKERS))
    assert "broker3: /var/lib/kafka is full" in said
    assert "what was stored before stays" in said
    down = Nodes(ROOMY, {**active(), "broker1": ["failed"]})
    assert asyncio.run(rooms.troubles(down.fleet, BROKERS)) == ["broker1: kafka is failed"]


def test_without_encryption_every_broker_of_the_cluster_is_reached() -> None:
    placed = place_kafka(KafkaConfiguration(brokers=1, plaintext="on"), HA)
    nodes = Nodes(ROOMY, active())

    async def running() -> list[str]:
        async with services.brokers_running(nodes.fleet, placed):
            return list(nodes.told)

    everyone = ["broker1", "broker2", "broker3"]
    assert sorted(asyncio.run(running())) == [f"open {name}" for name in everyone]
    assert sorted(nodes.told[3:]) == [f"close {name}" for name in everyone]
    assert placed.bootstrap.count(":9095") == 3
    encrypted = place_kafka(KafkaConfiguration(brokers=1), HA)
    quiet = Nodes(ROOMY, active())

    async def closed() -> None:
        async with services.brokers_running(quiet.fleet, encrypted):
            pass

    asyncio.run(closed())
    assert quiet.told == []


def test_a_cell_that_failed_tells_of_its_brokers_first() -> None:
    async def failing(nodes: Nodes) -> None:
        async with rooms.explained(nodes.fleet, BROKERS):
            raise CellFailure("frames 7 failed")

    with pytest.raises(CellFailure, match=r"^frames 7 failed$"):
        asyncio.run(failing(Nodes(ROOMY, active())))
    down = Nodes(ROOMY, {**active(), "broker2": ["failed"]})
    with pytest.raises(CellFailure, match=r"^broker2: kafka is failed \(frames 7 failed\)$"):
        asyncio.run(failing(down))


def test_a_killed_broker_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "_LOOK_EVERY_S", 0.001)
    nodes = Nodes(ROOMY, {**active(), "broker1": ["activating", "activating", "active"]})
    session = cast(Any, nodes.on(BROKERS[0]))

    async def killed() -> None:
        await services.kill(session, "kafka")
        await services.until_active(session, "kafka")

    asyncio.run(killed())
    assert nodes.told == ["kill broker1", "status broker1", "status broker1"]
    monkeypatch.setattr(services, "_START_TIMEOUT_S", 0.01)
    gone = Nodes(ROOMY, {**active(), "broker1": ["failed"]})
    with pytest.raises(CellFailure, match="broker1: kafka is failed"):
        asyncio.run(services.until_active(cast(Any, gone.on(BROKERS[0])), "kafka"))
