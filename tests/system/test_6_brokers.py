"""Brokers: one grows to three on a live bed and keeps its data; one of three is not missed."""

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.system import survived as cells
from tests.system.tools import Bed, changes, free_prefix, leftovers, rows, streambed

from streambed import inventory, paths
from streambed.results import run

pytestmark = pytest.mark.long

KAFKA_DIFFERS = "/usr/local/lib/streambed/kafka-started differs"

KEPT = 500
"""Records that the only broker gets before there are others."""


def written(folder: Path, brokers: int, prefix: str) -> None:
    """The inventory `ha` of the tests' own, with so many of its brokers."""
    hosts = yaml.safe_load((paths.ROOT / "inventory/ha/hosts.yml").read_text())
    everything = hosts["all"]
    everything["vars"]["bed_name"] = "test-ha"
    names = list(everything["children"]["kafka_brokers"]["hosts"])
    for name in names[brokers:]:
        del everything["hosts"][name]
        del everything["children"]["kafka_brokers"]["hosts"][name]
    for variables in everything["hosts"].values():
        # A host's own variable, since the environment's prefix is that of another bed.
        variables["bed_prefix"] = prefix
    if brokers == 1:
        (topic,) = everything["vars"]["kafka_topics"]
        topic |= {"partitions": 1, "replication": 1, "min_insync_replicas": 1}
    (folder / "hosts.yml").write_text(yaml.safe_dump(hosts))
    inventory._load.cache_clear()


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """A bed of one broker that got records, and then two more brokers; gone at the end."""
    folder = tmp_path_factory.mktemp("ha") / "ha"
    folder.mkdir()
    (folder / "group_vars").symlink_to(paths.ROOT / "inventory" / "group_vars")
    prefix = free_prefix()
    written(folder, 1, prefix)
    bed = Bed(str(folder))
    streambed("up", "-i", bed.path)
    bed.python("client", PRODUCE, f"{prefix}.12:9092", str(KEPT))
    written(folder, 3, prefix)
    streambed("up", "-i", bed.path)
    yield bed
    streambed("down", "-i", bed.path)
    assert leftovers("test-ha") == []


PRODUCE = """
import sys
from confluent_kafka import Producer
from streambed.pipelines import kafka_access
account = kafka_access.of(sys.argv[1], kafka_access.PRODUCER).librdkafka()
producer = Producer({**account, "acks": "all"})
for number in range(int(sys.argv[2])):
    producer.produce("kept", value=str(number).encode(), partition=0)
assert producer.flush(30) == 0
"""

CONSUME = """
import json, sys
from confluent_kafka import Consumer, TopicPartition
from streambed.pipelines import kafka_access
account = kafka_access.of(sys.argv[1], kafka_access.CLASSIFIER).librdkafka()
consumer = Consumer({**account, "group.id": "streambed-test", "enable.auto.commit": False})
partitions = consumer.list_topics("kept", timeout=30).topics["kept"].partitions
consumer.assign([TopicPartition("kept", 0, 0)])
seen = [int(m.value()) for m in consumer.consume(int(sys.argv[2]), 30)]
replicas = {str(number): sorted(found.isrs) for number, found in partitions.items()}
print(json.dumps({"seen": seen, "replicas": replicas}))
"""


def test_a_bed_that_grows_keeps_its_data_and_gets_its_replicas(grown: Bed) -> None:
    """Read from one of the brokers that were added; `up` has verified that all three vote."""
    added = grown.inventory.node("broker3").bed_address
    found = json.loads(grown.python("worker", CONSUME, f"{added}:9092", str(KEPT)))
    assert found["seen"] == list(range(KEPT))
    assert found["replicas"] == {"0": [1, 2, 3], "1": [1, 2, 3], "2": [1, 2, 3]}


def test_a_cluster_that_grew_wants_two_replicas_in_sync(grown: Bed) -> None:
    """Of topics that do not say; it was founded with one, and would keep that."""
    address = grown.inventory.node("broker1").bed_address
    found = json.loads(grown.python("broker1", LEAST_IN_SYNC, f"{address}:9092"))
    assert found == {"1": "2", "2": "2", "3": "2"}


LEAST_IN_SYNC = """
import json, sys
from confluent_kafka.admin import ConfigResource
from streambed.pipelines import kafka_access, kafka_client
client = kafka_client.admin(sys.argv[1])
found = {}
for number in sorted(client.list_topics(timeout=30).brokers):
    resource = ConfigResource(ConfigResource.Type.BROKER, str(number))
    (answer,) = client.describe_configs([resource]).values()
    found[str(number)] = answer.result(30)["min.insync.replicas"].value
print(json.dumps(found))
"""


def starts(bed: Bed, node: str) -> list[tuple[str, float]]:
    """What systemd did with a node's broker, and when: Starting, Started (it serves), Stopping."""
    said = bed.root(node, "journalctl -u kafka -o short-unix --no-pager")
    line = r"^(\d+\.\d+) \S+ systemd\[\d+\]: (Starting|Started|Stopping) kafka"
    return [(found[2], float(found[1])) for found in re.finditer(line, said, re.MULTILINE)]


def test_added_brokers_start_together(grown: Bed) -> None:
    """By one clock, since all nodes are on one machine."""
    first = [dict(reversed(starts(grown, name))) for name in ("broker2", "broker3")]
    assert max(each["Starting"] for each in first) < min(each["Started"] for each in first)


def test_brokers_that_did_not_change_are_not_restarted(grown: Bed) -> None:
    """The first broker's configuration changed when others came; theirs did not."""
    restarts = {
        node.name: grown.root(node.name, "journalctl -u kafka -o cat | grep -c '^Started kafka'")
        for node in grown.inventory.group("kafka_brokers")
    }
    assert {name: int(count) for name, count in restarts.items()} == {
        "broker1": 2,
        "broker2": 1,
        "broker3": 1,
    }


def test_the_playbook_again_changes_nothing_on_three_brokers(grown: Bed) -> None:
    assert changes(grown.playbook()) == []


def test_a_roll_that_failed_half_way_is_taken_up_by_the_next(grown: Bed) -> None:
    """broker2 cannot start; broker3 has its new configuration on disk, left by the first roll."""
    setting = ("-e", json.dumps({"kafka_io_threads": 3}))
    spoilt = "/etc/systemd/system/kafka.service.d"
    spoil = f"mkdir {spoilt} && printf '[Service]\\nExecStartPre=false\\n' >{spoilt}/spoilt.conf"
    grown.root("broker2", spoil)
    grown.refused_playbook(*setting)
    assert "server.properties" in grown.root("broker3", KAFKA_DIFFERS)
    grown.root("broker2", f"rm -r {spoilt} && systemctl daemon-reload")
    # What rolls, alone: the files have been placed.
    assert len(changes(grown.playbook(name="roll"))) == 1
    assert [grown.root(f"broker{n}", KAFKA_DIFFERS).strip() for n in (1, 2, 3)] == ["", "", ""]
    assert changes(grown.playbook(name="roll")) == []


def test_partitions_are_not_taken_away(grown: Bed) -> None:
    topics = [{"name": "kept", "partitions": 2, "replication": 3}]
    said = grown.refused_playbook("-e", json.dumps({"kafka_topics": topics}), name="prove")
    assert "topic kept: 2 partitions are declared, it has 3" in said


def test_brokers_restart_one_at_a_time_and_never_together(grown: Bed) -> None:
    """From its stop until it serves again, over all that has happened to this bed."""
    spans = []
    for name in ("broker1", "broker2", "broker3"):
        stopped = None
        for what, at in starts(grown, name):
            if what == "Stopping":
                stopped = at
            elif what == "Started" and stopped is not None:
                spans.append((stopped, at, name))
                stopped = None
    assert {name for _, _, name in spans} == {"broker1", "broker2", "broker3"}
    ordered = sorted(spans)
    for (_, ready, first), (stopped, _, second) in itertools.pairwise(ordered):
        assert ready < stopped, f"{first} and {second} were away together: {ordered}"


def test_a_setting_that_kafka_refuses_changes_nothing(grown: Bed) -> None:
    topics = [
        {"name": "kept", "partitions": 4, "replication": 3},
        {"name": "new", "partitions": 1, "replication": 3, "config": {"compression.type": "lz5"}},
    ]
    said = grown.refused_playbook("-e", json.dumps({"kafka_topics": topics}), name="prove")
    assert "topic new: " in said
    assert "lz5" in said
    address = grown.inventory.node("broker1").bed_address
    found = json.loads(grown.python("worker", CONSUME, f"{address}:9092", str(KEPT)))
    assert len(found["replicas"]) == 3
    assert found["seen"] == list(range(KEPT))


CLOSED = {
    "name": "closed",
    "study": "B",
    "bed": "ha",
    "pipeline": "kafka",
    "factors": {
        "client": ["kafka-python", "java"],
        "scenario": ["produce_while_consuming", "produce_only"],
        "plaintext": ["off", "on"],
    },
    # Without encryption on one broker of three: any of the others may be the controller.
    "parts": [
        {
            "factors": {
                "client": ["kafka-python"],
                "scenario": ["produce_while_consuming"],
                "plaintext": ["on"],
            }
        },
        {"factors": {"client": ["java"], "scenario": ["produce_only"], "plaintext": ["off"]}},
    ],
    "fixed": {"images": "mnist", "image_count": "auto", "partitions": 4, "bandwidth": "unshaped"},
    "repeats": 1,
    "gates": {"contended_above": "90 %"},
}
"""As fast as a client can: our own programs, and Kafka's tool."""


@pytest.fixture(scope="module")
def closed_results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the run of `closed` is kept."""
    return tmp_path_factory.mktemp("closed")


@pytest.fixture(scope="module")
def closed(grown: Bed, closed_results: Path) -> dict[str, dict[str, Any]]:
    """Client → row."""
    experiment = Path(grown.path).parent / "closed.yml"
    experiment.write_text(yaml.safe_dump(CLOSED, sort_keys=False))
    # Of what a producer may keep waiting, 32 MiB, several times as much.
    options = ("--images", "150000", "--results", str(closed_results))
    streambed("run", str(experiment), "-i", grown.path, *options)
    return {row["client"]: row for row in rows(closed_results, "closed")}


def test_every_client_sends_all_it_has_and_is_measured(closed: dict[str, dict[str, Any]]) -> None:
    for client in ("kafka-python", "java"):
        row = closed[client]
        assert row["status"] == "ok", f"{client}: {row['reason']}"
        assert row["lost"] == 0
        assert row["produce_rate_per_s"] > 0
        assert row["producer_cpu_s_per_image"] > 0


def test_consumers_keep_up_with_a_producer_and_lose_nothing(
    closed: dict[str, dict[str, Any]],
) -> None:
    row = closed["kafka-python"]
    assert row["duplicates"] == 0
    assert row["consume_rate_per_s"] == pytest.approx(row["produce_rate_per_s"], rel=0.25)


def test_the_benchmarks_own_cost_and_the_librarys_are_told(
    closed: dict[str, dict[str, Any]],
) -> None:
    row = closed["kafka-python"]
    assert row["own_producer_cpu_s_per_image"] < 0.1 * row["producer_cpu_s_per_image"]
    assert "record batches" in row["producer_profile"]
    assert row["records_per_request"] >= 1


def test_kafkas_tool_says_what_we_reckon(
    closed: dict[str, dict[str, Any]], closed_results: Path
) -> None:
    """Both leave the same images out; the tool's clock starts when it has handed those over.

    Ours starts when they are acknowledged: up to 32 MiB of images later, and after Java has
    connected to the leaders.
    """
    row = closed["java"]
    raw = run.find("closed", closed_results).raw_directory(row)
    events = json.loads((raw / "events.json").read_text())["producer"]
    ended_at = max(event["at"] for event in events if event["event"] == "sample")
    started_at = min(event["at"] for event in events if event["event"] == "ready")
    tool_s = 0.9 * row["images"] / row["tool_rate_per_s"]
    assert 0.9 * row["steady_s"] < tool_s < ended_at - started_at


def test_the_way_without_encryption_is_shut_again(
    grown: Bed, closed: dict[str, dict[str, Any]]
) -> None:
    assert ":9095" in closed["kafka-python"]["gates"]["brokers_act"]["measured"]
    for node in grown.inventory.group("kafka_brokers"):
        assert grown.root(node.name, "streambed-plaintext status || true").strip() == "closed"


def test_cameras_keep_their_order(grown: Bed, tmp_path: Path) -> None:
    experiment = grown.patient("cameras", contended_above="90 %")
    cell = ("--set", "cameras=10", "--set", "camera_clients=own", "--duration", "10 s")
    options = ("--repeats", "1", "--results", str(tmp_path))
    streambed("run", experiment, "-i", grown.path, *cell, *options)
    (row,) = rows(tmp_path, "cameras")
    assert row["status"] == "ok", row["reason"]
    assert (row["lost"], row["duplicates"], row["reordered"]) == (0, 0, 0)
    assert 0 < row["camera_fairness"] <= 1
    assert row["latency_worst_p99_s"] >= row["latency_best_p99_s"] > 0


@pytest.fixture(scope="module")
def survived(grown: Bed, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The row of a cell in which the second broker was killed (-9) in mid-run."""
    results = tmp_path_factory.mktemp("durability")
    experiment = grown.patient("durability", contended_above="90 %")
    options = ("--set", "kill_broker=2", "--images", "36000", "--results", str(results))
    streambed("run", experiment, "-i", grown.path, *options)
    (row,) = rows(results, "durability")
    return row


def test_no_acknowledged_image_is_lost_when_a_broker_is_killed(survived: dict[str, Any]) -> None:
    assert survived["status"] == "ok", survived["reason"]
    assert (survived["lost"], survived["duplicates"], survived["images_sent"]) == (0, 0, 36_000)
    for gate in ("images_acknowledged", "fault_acts", "replicas_agree", "nothing_died"):
        assert survived["gates"][gate]["ok"], survived["gates"][gate]


def test_the_fault_is_measured(survived: dict[str, Any]) -> None:
    assert survived["recovery_s"] > 0
    assert survived["stall_max_s"] > 0
    assert survived["produce_rate_per_s"] > 0
    assert survived["consumer_fairness"] > 0.9


def test_all_brokers_are_whole_again(grown: Bed, survived: dict[str, Any]) -> None:
    for node in grown.inventory.group("kafka_brokers"):
        said = grown.root(node.name, "/usr/local/lib/streambed/kafka-ready --cluster --timeout 30")
        assert "voters: 1, 2, 3; every partition has all of its replicas" in said


SPARED = ("broker_of_three_kill", "node_stop", "node_freeze")


@pytest.fixture(scope="module")
def spared(grown: Bed, tmp_path_factory: pytest.TempPathFactory) -> dict[str, cells.Survived]:
    """A stream through three brokers while the third one, or its whole node, is away."""
    results = tmp_path_factory.mktemp("spared")
    experiment = grown.patient("small", contended_above="90 %")
    return cells.run(experiment, grown.path, SPARED, 80, results)


@pytest.mark.parametrize("fault", SPARED)
def test_a_stream_survives_the_loss_of_one_broker_of_three(
    spared: dict[str, cells.Survived], fault: str
) -> None:
    cells.everything_came_back(spared[fault])
    cells.nothing_was_lost(spared[fault])
