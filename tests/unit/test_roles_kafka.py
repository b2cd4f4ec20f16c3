"""Role kafka without a node: ids, rendered configurations, declared topics, readiness."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from streambed import inventory, paths

ROLE = paths.ROOT / "roles" / "kafka"
HOSTS = ("broker1", "broker2", "broker3", "keeper1", "standby")
BROKERS = {1: "10.9.0.1:9092", 2: "10.9.0.2:9092", 3: "10.9.0.3:9092"}


def load(path: Path) -> ModuleType:
    name = f"kafka_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Its dataclasses look for it there.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


topics = load(paths.ROOT / "ansible/library/streambed_topics.py")
ids = load(ROLE / "filter_plugins/kafka_id.py")
shared = load(ROLE / "files/kafka_admin.py")


# --- ids and configurations -----------------------------------------------------------------


def test_brokers_keep_their_ids_when_others_are_added() -> None:
    assert [ids.kafka_id(n, ["a", "b"], ["a", "b"]) for n in ("a", "b")] == [1, 2]
    assert ids.kafka_id("k", ["a"], ["k"]) == ids.kafka_id("k", ["a", "b", "c"], ["k"]) == 101
    with pytest.raises(ValueError, match="x"):
        ids.kafka_id("x", ["a"], ["a"])


@pytest.fixture(scope="module", autouse=True)
def filters() -> None:
    """The role's own filters, where Ansible's templating finds them."""
    from ansible.plugins.loader import filter_loader

    inventory._find_plugins()
    filter_loader.add_directory(str(ROLE / "filter_plugins"))


def rendered(template: str, host: str, groups: dict[str, list[str]]) -> str:
    """A template of the role for one host of an inventory with these groups."""
    from ansible.parsing.dataloader import DataLoader
    from ansible.template import Templar, trust_as_template

    loader = DataLoader()
    variables: dict[str, Any] = {}
    for part in ("defaults", "vars"):
        path = str(ROLE / part / "main.yml")
        variables |= loader.load_from_file(path, trusted_as_template=True)
    addresses = {name: f"10.9.0.{number}" for number, name in enumerate(HOSTS, 1)}
    variables |= {
        "groups": groups,
        "hostvars": {name: {"bed_address": address} for name, address in addresses.items()},
        "inventory_hostname": host,
        "bed_address": addresses[host],
        "bed_name": "test",
        # In files of the bed, which no bed has made here.
        "_kafka_passwords": {"broker": "of the broker"},
    }
    text = trust_as_template((ROLE / "templates" / template).read_text())
    return str(Templar(loader=loader, variables=variables).template(text))


def settings(text: str) -> dict[str, str]:
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


COMBINED = {"kafka_brokers": ["broker1", "broker2", "broker3"]}
SEPARATE = {"kafka_brokers": ["broker1", "broker2"], "kafka_controllers": ["keeper1"]}


def test_three_combined_brokers_vote_and_copy() -> None:
    found = settings(rendered("server.properties.j2", "broker2", COMBINED))
    assert found["process.roles"] == "broker,controller"
    assert found["node.id"] == "2"
    assert found["controller.quorum.bootstrap.servers"] == (
        "10.9.0.1:9093,10.9.0.2:9093,10.9.0.3:9093"
    )
    assert found["listeners"] == (
        "CLIENT://10.9.0.2:9092,OPEN://10.9.0.2:9095,CONTROLLER://10.9.0.2:9093"
    )
    assert found["controller.quorum.auto.join.enable"] == "true"
    assert found["default.replication.factor"] == "3"
    assert found["min.insync.replicas"] == "2"


def test_one_broker_waits_for_nobody() -> None:
    found = settings(rendered("server.properties.j2", "broker1", {"kafka_brokers": ["broker1"]}))
    assert "controller.quorum.auto.join.enable" not in found
    assert found["default.replication.factor"] == found["min.insync.replicas"] == "1"


def test_separate_controllers_keep_the_quorum_alone() -> None:
    broker = settings(rendered("server.properties.j2", "broker2", SEPARATE))
    assert broker["process.roles"] == "broker"
    assert broker["listeners"] == "CLIENT://10.9.0.2:9092,OPEN://10.9.0.2:9095"
    keeper = settings(rendered("server.properties.j2", "keeper1", SEPARATE))
    assert (keeper["process.roles"], keeper["node.id"]) == ("controller", "101")
    assert keeper["listeners"] == "CONTROLLER://10.9.0.4:9093"
    assert "inter.broker.listener.name" not in keeper
    reach = settings(rendered("client.properties.j2", "keeper1", SEPARATE))
    assert reach["bootstrap.servers"] == "10.9.0.1:9092,10.9.0.2:9092"
    assert (reach["security.protocol"], reach["sasl.password"]) == ("SASL_SSL", "of the broker")


@pytest.mark.parametrize(
    ("host", "groups", "founder"),
    [
        ("broker1", COMBINED, "true"),
        ("broker2", COMBINED, "false"),
        ("broker1", SEPARATE, "false"),
        ("keeper1", SEPARATE, "true"),
        ("standby", COMBINED, "true"),
    ],
)
def test_the_first_controller_founds_the_cluster(
    host: str, groups: dict[str, list[str]], founder: str
) -> None:
    found = settings(rendered("format.env.j2", host, groups))
    assert found["KAFKA_FOUNDER"] == founder
    members = [name for group in groups.values() for name in group]
    whose = {settings(rendered("format.env.j2", n, groups))["KAFKA_CLUSTER_ID"] for n in members}
    assert len(whose) == 1
    assert (found["KAFKA_CLUSTER_ID"] in whose) == (host != "standby")


def test_the_cluster_is_described_for_the_nodes_own_programs() -> None:
    found = json.loads(rendered("cluster.json.j2", "broker3", COMBINED))
    assert found == {
        "address": "10.9.0.3:9092",
        "controller": "10.9.0.3:9093",
        "brokers": ["10.9.0.1:9092", "10.9.0.2:9092", "10.9.0.3:9092"],
        "voters": [1, 2, 3],
    }
    keeper = json.loads(rendered("cluster.json.j2", "keeper1", SEPARATE))
    assert (keeper["address"], keeper["voters"]) == (None, [101])


# --- how the node's programs reach the cluster ----------------------------------------------


def test_one_file_of_properties_serves_two_libraries(tmp_path: Path) -> None:
    path = tmp_path / "client.properties"
    path.write_text("# a comment\nbootstrap.servers=a:1,b:2\nsasl.mechanism=SCRAM-SHA-512\n")
    found = shared.properties(path)
    assert found["bootstrap.servers"] == "a:1,b:2"
    assert shared.for_kafka_python(found) == {
        "bootstrap_servers": ["a:1", "b:2"],
        "sasl_mechanism": "SCRAM-SHA-512",
    }


def metadata(**partitions: list[Any]) -> Any:
    found = {
        name: SimpleNamespace(
            partitions={
                number: SimpleNamespace(leader=leader, replicas=replicas, isrs=isrs)
                for number, (leader, replicas, isrs) in enumerate(listed)
            }
        )
        for name, listed in partitions.items()
    }
    return SimpleNamespace(topics=found)


def test_a_partition_lacks_a_replica_or_a_leader() -> None:
    seen = metadata(a=[(1, [1, 2], [2, 1]), (1, [1, 2], [1])], b=[(-1, [1], [1])])
    assert shared.lacking(seen) == ["a-1", "b-0"]
    assert shared.lacking(seen, "b") == ["b-0"]


# --- declared topics ------------------------------------------------------------------------


def wanted(**changes: Any) -> Any:
    given = {"name": "t", "partitions": 3, "replication": 3, "config": {}}
    return topics.Wanted(**{**given, **changes})


def there(*replicas: list[int]) -> dict[str, Any]:
    return {"t": topics.Seen(dict(enumerate(replicas)))}


def test_a_declaration_becomes_kafkas_settings() -> None:
    declared = {
        "name": "t",
        "partitions": 3,
        "replication": 3,
        "min_insync_replicas": 2,
        "retention_hours": 1.5,
        "config": {"unclean.leader.election.enable": False, "segment.bytes": 1048576},
    }
    assert topics.Wanted.of(declared).config == {
        "min.insync.replicas": "2",
        "retention.ms": "5400000",
        "unclean.leader.election.enable": "false",
        "segment.bytes": "1048576",
    }


@pytest.mark.parametrize(
    ("changes", "seen", "words"),
    [
        ({"partitions": 2}, there([1], [1], [1]), "2 partitions are declared, it has 3"),
        ({"replication": 4}, {}, "replication 4 is declared, the cluster has 3 brokers (10.9"),
        ({"partitions": 0}, {}, "allowed is 1 or more"),
        ({"config": {"min.insync.replicas": "4"}}, {}, "nothing could be written with acks=all"),
    ],
)
def test_what_cannot_be_made_so_is_refused(
    changes: dict[str, Any], seen: dict[str, Any], words: str
) -> None:
    (reason,) = topics.refusals([wanted(**changes)], seen, BROKERS)
    assert words in reason
    assert reason.startswith("topic t")


def test_a_topic_is_declared_once() -> None:
    assert topics.refusals([wanted()], there([1], [1], [1]), BROKERS) == []
    (reason,) = topics.refusals([wanted(), wanted()], {}, BROKERS)
    assert "declared 2 times" in reason


def test_added_replicas_go_where_least_is_and_old_ones_stay() -> None:
    replicas = {0: [1], 1: [1], 2: [1], 3: [2, 1, 3]}
    found = topics.spread(replicas, 2, BROKERS)
    assert all(found[number][0] == 1 for number in (0, 1, 2))
    assert sorted(found[number][1] for number in (0, 1, 2)) == [2, 2, 3]
    assert found[3] == [2, 1]
    assert topics.spread({0: [1, 2]}, 2, BROKERS) == {}


class Cluster:
    """A cluster that takes every change."""

    def __init__(self, seen: dict[str, Any], settings: dict[str, str] | None = None) -> None:
        self.seen = seen
        self.brokers = BROKERS
        self.told: list[str] = []
        self._settings = settings or {}

    def differences(self, topic: Any) -> dict[str, str]:
        return {k: v for k, v in topic.config.items() if self._settings.get(k) != v}

    def create(self, topic: Any) -> None:
        self.told.append(f"create {topic.name}")

    def grow(self, topic: Any) -> None:
        self.told.append(f"grow {topic.partitions}")
        self.seen[topic.name] = topics.Seen({number: [1] for number in range(topic.partitions)})

    def configure(self, name: str, settings: dict[str, str]) -> None:
        self.told.append(f"configure {settings}")

    def default(self, name: str) -> str | None:
        return {"min.insync.replicas": "1"}.get(name)

    def set_default(self, name: str, value: str) -> None:
        self.told.append(f"everywhere {name} {value}")

    def move(self, name: str, replicas: dict[int, list[int]]) -> None:
        self.told.append(f"move {name} {sorted(replicas)}")


def test_a_topic_that_is_as_declared_is_left_alone() -> None:
    cluster = Cluster(there([1, 2, 3], [2, 3, 1], [3, 1, 2]), {"retention.ms": "5"})
    converging = topics.Converging(cluster, check=False)
    converging.topic(wanted(config={"retention.ms": "5"}))
    assert converging.done == cluster.told == []


def test_a_check_foretells_and_changes_nothing() -> None:
    cluster = Cluster({})
    converging = topics.Converging(cluster, check=True)
    converging.topic(wanted())
    assert converging.done == ["topic t: made, 3 partitions, replication 3"]
    assert cluster.told == []


def test_a_bed_that_grew_gets_partitions_replicas_and_settings() -> None:
    cluster = Cluster({**there([1]), "__consumer_offsets": topics.Seen({0: [1]})})
    converging = topics.Converging(cluster, check=False)
    converging.topic(wanted(config={"min.insync.replicas": "2"}))
    converging.internal(3)
    converging.least_in_sync(2)
    assert cluster.told == [
        "grow 3",
        "move t [0, 1, 2]",
        "configure {'min.insync.replicas': '2'}",
        "move __consumer_offsets [0]",
        "everywhere min.insync.replicas 2",
    ]
    assert len(converging.done) == 5
    assert converging.done[-1] == "the cluster: min.insync.replicas 2"
    converging.least_in_sync(1)
    assert len(converging.done) == 5


class Said(Exception):
    """Stands for confluent-kafka's own, which holds an error that has words."""


class Asked:
    """An admin client that refuses some settings, and notes what it is asked."""

    def __init__(self) -> None:
        self.validated: list[str] = []

    def create_topics(self, new: list[Any], *, validate_only: bool) -> dict[str, Any]:
        assert validate_only
        (topic,) = new
        self.validated.append(f"create {topic.name}")
        return {topic.name: SimpleNamespace(result=lambda _timeout_s: self._judge(topic.config))}

    def incremental_alter_configs(
        self, resources: list[Any], *, validate_only: bool
    ) -> dict[str, Any]:
        assert validate_only
        (resource,) = resources
        self.validated.append(f"alter {resource.name}")
        config = dict(resource.entries)
        return {resource.name: SimpleNamespace(result=lambda _timeout_s: self._judge(config))}

    def _judge(self, config: dict[str, str]) -> None:
        if config.get("compression.type") == "lz5":
            raise Said(SimpleNamespace(str=lambda: "Invalid value lz5 for compression.type"))


def test_kafka_is_asked_about_settings_before_anything_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    library = ModuleType("confluent_kafka")
    vars(library).update(KafkaException=Said)
    monkeypatch.setitem(sys.modules, "confluent_kafka", library)
    monkeypatch.setattr(topics, "_new", lambda topic: topic)
    monkeypatch.setattr(
        topics,
        "_settings",
        lambda name, settings: SimpleNamespace(name=name, entries=list(settings.items())),
    )
    asked = topics.Topics.__new__(topics.Topics)
    asked._client = client = Asked()
    asked._deadline = 0.0
    asked._metadata = SimpleNamespace(topics={"t": SimpleNamespace(partitions={})})
    wrong = {"compression.type": "lz5"}
    for name, what in (("t", "alter t"), ("new", "create new")):
        assert asked.objection(wanted(name=name, config=wrong)) == (
            "Invalid value lz5 for compression.type"
        )
        assert asked.objection(wanted(name=name, config={"segment.bytes": "1048576"})) == ""
        assert client.validated == [what] * 2
        client.validated.clear()
    assert asked.objection(wanted()) == ""
    assert client.validated == []


def test_what_kafka_refuses_is_told_with_the_topic() -> None:
    class Refusing(Cluster):
        def create(self, topic: Any) -> None:
            raise RuntimeError("Invalid value foo for configuration compression.type")

    with pytest.raises(topics.Refused, match=r"topic t: made.*compression\.type"):
        topics.Converging(Refusing({}), check=False).topic(wanted())
