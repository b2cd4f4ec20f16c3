"""Study B on the controller: cells, placement, length, plan, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from streambed import inventory, paths
from streambed.errors import StreambedError
from streambed.experiment import Overrides, cells, load, plan
from streambed.experiment.estimate import cell_s
from streambed.experiment.kafka import (
    CONSUME,
    MOST_BATCH_BYTES,
    PRODUCE,
    SCENARIOS,
    WHILE,
    CamerasConfiguration,
    KafkaConfiguration,
)
from streambed.experiment.kafka_estimate import loads_s
from streambed.experiment.kafka_length import consume_rate_per_s, produce_rate_per_s
from streambed.experiment.placement import place_kafka

LIBRARY = ("acks=library", "idempotence=library", "batch=library", "linger=library")


def on(*options: str, subset: str | None = None, bed: str | None = None) -> Overrides:
    return Overrides(set=options, subset=subset, bed=bed)


@pytest.mark.parametrize("bed", ["ha", "consumers"])
def test_the_beds_fit_two_cores_and_have_networks_of_their_own(bed: str) -> None:
    nodes = inventory.load(bed).nodes
    assert round(sum(node.cpus or 0 for node in nodes), 6) <= 2.0
    assert sum(node.memory_bytes or 0 for node in nodes) <= 20 * 2**30
    others = ("duo", "cluster", "wide", "training", "ha", "consumers")
    assert len({inventory.load(other).subnet for other in others}) == len(others)


def test_equal_work_has_equal_quotas() -> None:
    brokers = inventory.load("ha").group("kafka_brokers")
    assert len(brokers) == 3
    for group in (
        brokers,
        inventory.load("ha").group("kafka_consumers"),
        inventory.load("consumers").group("kafka_consumers"),
    ):
        assert len({node.cpus for node in group}) == 1


def test_the_published_matrix_is_whole_and_nothing_else() -> None:
    experiment = load("kafka")
    assert experiment.levels == {
        "partitions": (1, 2, 4, 8, 16),
        "consumers": (1, 2, 4),
        "scenario": SCENARIOS,
    }
    assert {cell.images for cell in cells(experiment)} == {500_000}
    assert {cell.kafka.client for cell in cells(experiment)} == {"kafka-python"}


@pytest.mark.parametrize("name", ["kafka", "kafka-clients", "cameras"])
def test_an_evening_is_planned_within_35_minutes(name: str) -> None:
    built = plan.build(load(name, on(subset="evening")))
    assert built.estimated_s <= 35 * 60


def test_the_evening_has_a_cell_for_each_point_of_the_figures() -> None:
    there = {
        (c.kafka.scenario, c.kafka.partitions, c.kafka.consumers)
        for c in cells(load("kafka", on(subset="evening")))
    }
    points = {(s, p, c) for s in (WHILE, CONSUME) for p in (1, 2, 4, 8, 16) for c in (1, 2, 4)}
    assert there == points | {(PRODUCE, p, 1) for p in (1, 2, 4, 8, 16)}


def test_the_evening_of_clients_has_what_the_claims_need() -> None:
    found = [cell.kafka for cell in cells(load("kafka-clients", on(subset="evening")))]
    assert {c.client for c in found} == {
        *("confluent-kafka", "kafka-python", "kafka-python-plain", "java")
    }
    assert {(c.partitions, c.brokers) for c in found if c.client == "confluent-kafka"} >= {
        *((1, 1), (16, 1), (4, 3), (16, 3))
    }
    assert {c.acks for c in found} == {None, "none", "leader", "all"}
    assert {c.compression for c in found} == {"none", "gzip", "lz4", "zstd"}
    assert {(c.batch_bytes, c.linger_s) for c in found} >= {(16384, 0.0), (262144, 0.05)}
    security = {(c.client, c.scenario, c.plaintext) for c in found if c.partitions == 4}
    assert security >= {
        (client, scenario, plaintext)
        for client in ("confluent-kafka", "kafka-python")
        for scenario in (PRODUCE, CONSUME)
        for plaintext in ("off", "on")
    }


def test_the_whole_is_a_union_too_and_a_subset_without_levels_has_all_of_it() -> None:
    whole, evening = load("kafka-clients"), load("kafka-clients", on(subset="evening"))
    assert (whole.repeats, evening.repeats) == (3, 1)
    assert [c.identity for c in cells(whole)] == [c.identity for c in cells(evening)]
    tools = [cell.kafka for cell in cells(load("kafka-clients", on(subset="tools")))]
    assert {(c.client, c.scenario) for c in tools} == {
        (client, scenario)
        for client in ("confluent-kafka", "java")
        for scenario in (PRODUCE, CONSUME)
    }


def test_published_placement_has_producer_and_broker_on_one_node() -> None:
    placed = place_kafka(
        KafkaConfiguration(broker_on="client", consumers=4), inventory.load("consumers")
    )
    assert placed.producer == placed.brokers[0]
    assert [node.name for node in placed.consumers] == [f"consumer{n}" for n in (1, 2, 3, 4)]
    assert placed.far_end.name == "consumer1"
    assert placed.roles()["client"] == ["producer", "broker"]


def test_a_standby_broker_serves_where_no_other_is_on_the_producers_node() -> None:
    placed = place_kafka(KafkaConfiguration(broker_on="client"), inventory.load("duo"))
    assert placed.brokers[0].name == "client"
    assert placed.consumers[0].name == "cloud"


def test_the_first_brokers_are_used_and_consumers_take_turns() -> None:
    bed = inventory.load("ha")
    placed = place_kafka(KafkaConfiguration(brokers=2, consumers=3), bed)
    assert [node.name for node in placed.brokers] == ["broker1", "broker2"]
    assert [node.name for node in placed.idle] == ["broker3"]
    assert [node.name for node in placed.consumers] == ["master", "worker", "master"]
    assert placed.bootstrap.count(":9092") == 3
    assert placed.roles()["broker3"] == ["broker without the topic"]
    with pytest.raises(StreambedError, match="4 brokers are asked for"):
        place_kafka(KafkaConfiguration(brokers=4), bed)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("kafka", ("scenario=produce",), "did you mean 'produce_only'"),
        ("kafka", ("client=librdkafka",), "kafka-python-plain"),
        ("kafka", ("compression=snappy",), "none, gzip, lz4, zstd"),
        ("kafka", ("compression=lz4",), "has no library for compression 'lz4'"),
        ("kafka", ("brokers=2", "bandwidth=fast"), "is not a data rate"),
        ("kafka", ("brokers=3",), r"brokers: 3, but bed consumers has 1 \(client\)"),
        ("kafka", ("replication=3",), "each replica needs a broker of its own"),
        ("kafka", ("batch=0 KiB",), "out of range"),
        ("kafka", ("batch=16384",), "is not a size"),
        ("kafka", ("batch=1 GiB",), "too large.*up to 16 MiB, or 'library'"),
        ("kafka", ("linger=1000 s",), "too long.*up to 60 s, or 'library'"),
        ("cameras", ("linger=2 min",), "too long.*up to 60 s"),
        ("kafka", ("acks=1",), "none, leader, all, or 'library'"),
        ("kafka", ("client=java",), "one tool at a time"),
        ("kafka", ("kill_broker=2",), "`kill_broker: 2` with `brokers: 1`"),
        ("kafka", ("offered_rate=9 images/s",), "means nothing to scenario consume_loaded"),
        ("durability", ("acks=leader",), "`idempotence: on` needs `acks: all`"),
        ("durability", ("brokers=4", "replication=4"), "but bed ha has 3"),
        ("cameras", ("image_count=10",), "follows from cameras"),
        ("cameras", ("cameras=1001",), "from 1 to 1000"),
        ("cameras", ("trigger=1 s",), "unknown factor 'trigger'"),
    ],
)
def test_a_mistake_is_named(name: str, options: tuple[str, ...], words: str) -> None:
    with pytest.raises(StreambedError, match=words):
        load(name, on(*options))


def test_a_bed_without_brokers_on_that_side_is_refused() -> None:
    with pytest.raises(StreambedError, match="1 brokers are asked for"):
        plan.build(load("kafka", on("broker_on=cloud", subset="ends")))


def test_a_count_follows_from_what_clients_manage() -> None:
    found = {
        cell.kafka.client: cell.given_images
        for cell in cells(load("kafka-clients", on("partitions=1", subset="tools")))
        if cell.kafka.scenario == PRODUCE
    }
    slow = cells(load("kafka-clients", on("client=kafka-python-plain", subset="gigabit")))
    assert min(found.values()) > 5 * slow[0].given_images
    longer = cells(load("kafka-clients", Overrides(duration="30 s", subset="gigabit")))
    assert longer[0].given_images == pytest.approx(2 * found["confluent-kafka"], rel=0.01)


def test_rates_follow_from_the_quotas_of_who_shares_a_node() -> None:
    near, far = inventory.load("consumers"), inventory.load("ha")
    together = KafkaConfiguration(client="kafka-python", broker_on="client")
    apart = KafkaConfiguration(client="kafka-python")
    # Twice the quota, but the broker has its part of it.
    assert produce_rate_per_s(together, near) < 2 * produce_rate_per_s(apart, far)
    one, four, idle = (
        consume_rate_per_s(
            KafkaConfiguration(
                client="kafka-python-plain", broker_on="client", partitions=p, consumers=c
            ),
            near,
        )
        for p, c in ((4, 1), (4, 4), (1, 4))
    )
    assert four == pytest.approx(4 * one)
    assert idle == pytest.approx(one)


def test_an_offered_rate_and_the_link_set_the_pace_wherever_the_broker_is() -> None:
    near, far = inventory.load("consumers"), inventory.load("ha")
    for side, bed in (("client", near), ("cloud", far)):
        paced = KafkaConfiguration(broker_on=side, offered_rate_images_per_s=500.0)
        assert produce_rate_per_s(paced, bed) == consume_rate_per_s(paced, bed) == 500.0
    # What crosses the link is sent, or read, by the side of the broker.
    slow = KafkaConfiguration(broker_on="client", bandwidth_mbit_per_s=10.0)
    assert consume_rate_per_s(slow, near) < 2000 < produce_rate_per_s(slow, near)
    assert produce_rate_per_s(KafkaConfiguration(bandwidth_mbit_per_s=10.0), far) < 2000


def test_a_cell_at_an_offered_rate_is_given_its_time() -> None:
    options = on("offered_rate=500 images/s", "scenario=produce_only", "partitions=1")
    assert cell_s(cells(load("kafka", options))[0]) > 500_000 / 500


def test_the_largest_batch_is_one_that_brokers_take() -> None:
    defaults = yaml.safe_load((paths.ROOT / "roles/kafka/defaults/main.yml").read_text())
    assert defaults["kafka_message_max_bytes"] == MOST_BATCH_BYTES


def test_cells_that_read_the_same_topic_follow_each_other_and_load_it_once() -> None:
    built = plan.build(load("kafka", on(subset="ends")))
    assert len({planned.cell.shared for planned in built.cells}) == 1
    one_load_s = loads_s(built.executions[:1])
    assert loads_s(built.executions[:2]) == one_load_s
    spent = sum(cell_s(execution.cell) for execution in built.executions)
    assert built.estimated_s == pytest.approx(built.beds_up_s + spent + one_load_s, rel=0.01)


def test_what_is_only_sent_shares_nothing() -> None:
    config = KafkaConfiguration(scenario=PRODUCE)
    assert config.shared is None
    loaded = KafkaConfiguration(scenario=CONSUME, consumers=2)
    assert loaded.shared == KafkaConfiguration(scenario=CONSUME, consumers=4).shared
    assert loaded.shared != KafkaConfiguration(scenario=CONSUME, partitions=2).shared


def test_cameras_film_for_their_time() -> None:
    (cell, *_) = cells(load("cameras", on("cameras=40", subset="evening")))
    assert cell.cameras.frames == 100
    assert cell.images == 4000
    assert CamerasConfiguration(duration_s=3.0, frame_rate_images_per_s=2.5).frames == 8


def test_the_link_is_shaped_where_it_is_asked_for() -> None:
    (unshaped, *_) = plan.build(load("kafka", on(subset="ends"))).cells
    assert unshaped.commands == ()
    (shaped, *_) = plan.build(load("kafka-clients", on(subset="gigabit"))).cells
    assert any("1000" in word for command in shaped.commands for word in command)


def merged(folder: Path, text: str) -> Any:
    path = folder / "merged.yml"
    path.write_text(text)
    return load(path)


def test_a_merge_key_brings_levels_and_own_ones_win(tmp_path: Path) -> None:
    text = (paths.ROOT / "experiments" / "durability.yml").read_text()
    text = text.replace(
        "  kill_broker: [1, 2, 3]\n", "  <<: &levels {kill_broker: [1, 2], consumers: [1]}\n"
    )
    assert merged(tmp_path, text.replace("  consumers: 2\n", "")).levels == {
        "kill_broker": (1, 2),
        "consumers": (1,),
    }
    own = text.replace("consumers: [1]}\n", "consumers: [1]}\n  consumers: [2]\n")
    assert merged(tmp_path, own.replace("  consumers: 2\n", "")).levels["consumers"] == (2,)
    with pytest.raises(StreambedError, match="`<<` takes a mapping"):
        merged(tmp_path, text.replace("&levels {kill_broker: [1, 2], consumers: [1]}", "[1]"))


def test_the_documented_topic_of_the_bed_is_one_that_it_can_hold() -> None:
    hosts = yaml.safe_load((paths.ROOT / "inventory/ha/hosts.yml").read_text())
    (topic,) = hosts["all"]["vars"]["kafka_topics"]
    brokers = hosts["all"]["children"]["kafka_brokers"]["hosts"]
    assert topic["min_insync_replicas"] < topic["replication"] <= len(brokers)
