"""Units run as they should, in the versions that are pinned, and cannot do what they should not."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from testinfra.host import Host
from tests.infra.nodes import BROKER_PORT, Service, services
from tests.infra.survey import Seen

from streambed.inventory import Inventory, Node

VENV = "/opt/streambed/venv/bin/python"

TOPICS = """
import json, sys
sys.path.insert(0, "/opt/streambed/app")
from confluent_kafka.admin import AdminClient, ConfigResource
from streambed.pipelines import kafka_access
account = kafka_access.of(sys.argv[1], kafka_access.ADMIN).librdkafka()
admin, names = AdminClient(account), json.loads(sys.argv[2])
topics, found = admin.list_topics(timeout=10).topics, {}
for name in names:
    resource = ConfigResource("topic", name)
    (answer,) = admin.describe_configs([resource]).values()
    settings = answer.result(10)
    partitions = topics[name].partitions.values()
    (replication,) = {len(partition.replicas) for partition in partitions}
    kept = {key: settings[key].value for key in ("min.insync.replicas", "retention.ms")}
    found[name] = [len(partitions), replication, kept]
print(json.dumps(found))
"""


def of(seen: Seen, service: Service) -> dict[str, Any]:
    found: dict[str, Any] = seen.root["services"][service.unit]
    return found


def states(seen: Seen, unit: str) -> tuple[str, str]:
    shown = seen.root["units"][unit]
    return shown["ActiveState"], shown["UnitFileState"]


def test_is_active_and_enabled(seen: Seen, service: Service) -> None:
    assert states(seen, service.unit) == ("active", "enabled")


@pytest.mark.on("kafka_standby")
def test_standby_broker_is_installed_and_stopped(seen: Seen) -> None:
    assert states(seen, "kafka.service") == ("inactive", "disabled")
    assert seen.root["kafka_installed"] == [True, True]


def test_no_unit_failed(seen: Seen, bed: Inventory) -> None:
    failed = [line.split()[0] for line in seen.root["failed_units"].splitlines()]
    ours = [unit for unit in failed if unit.startswith(("kafka", "spark", "streambed"))]
    assert (failed if bed.in_containers else ours) == []


def test_runs_as_its_user_without_privileges(seen: Seen, service: Service) -> None:
    status = of(seen, service)["status"]
    assert set(status["Uid"].split()) == {str(seen.root["users"][service.user]["uid"])}
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"


def test_jvm_starts_from_the_archive_that_the_image_has(seen: Seen, service: Service) -> None:
    """Only a baked image has one; a JVM whose class path differs from it ignores it silently."""
    found = of(seen, service)
    assert found["archive_mapped"] == found["archive_there"]


def test_sandbox_takes_effect(seen: Seen, service: Service) -> None:
    """Nothing but its own directory can be written to, and what is others' is not seen."""
    sandbox = of(seen, service)["sandbox"]
    for path, (status, said) in sandbox["tries"].items():
        assert status != 0, f"{service.unit} could write to {path}"
        assert "Read-only file system" in said
    assert len(sandbox["tries"]) == 4
    assert sandbox["allowed"] == 0
    assert not {".probe-outside", ".ssh"} & set(sandbox["private"])


def test_sandbox_of_what_ends_at_once_takes_effect(seen: Seen) -> None:
    for unit, said in seen.root["one_shots"].items():
        assert len(said) == 2, (unit, said)
        assert all("Read-only file system" in line for line in said), unit


def test_no_unit_is_exposed(seen: Seen) -> None:
    exposures = seen.root["exposures"]
    assert "streambed-firewall.service" in exposures
    assert {unit: rated for unit, rated in exposures.items() if rated is None or rated > 3} == {}


def test_runs_the_pinned_version(seen: Seen, service: Service, versions: dict[str, str]) -> None:
    assert f"/{service.jar}{versions[service.version]}.jar" in of(seen, service)["opened"]


def test_open_files_limit(seen: Seen, service: Service) -> None:
    assert of(seen, service)["open_files"] == ["16384", "16384"]


def test_java_is_the_pinned_one(seen: Seen, node: Node, versions: dict[str, str]) -> None:
    if services(node) or "kafka_standby" in node.groups:
        assert f'version "{versions["java"]}.' in seen.root["java"]


def test_python_environment_is_the_locked_one(seen: Seen, wheels: dict[str, str]) -> None:
    found = seen.root["packages"]
    installed = {name.lower().replace("_", "-"): version for name, version in found.items()}
    # pip came with the environment, not from the lock.
    installed.pop("pip")
    assert installed == wheels


def test_no_jar_or_archive_on_pythons_path(seen: Seen) -> None:
    assert seen.root["archives_on_path"] == "[]"


@pytest.mark.on("kafka_brokers")
def test_broker_answers_with_all_brokers(seen: Seen, bed: Inventory) -> None:
    for broker in bed.group("kafka_brokers"):
        assert f"{broker.bed_address}:9092" in seen.root["broker"]


@pytest.mark.on("kafka_brokers")
def test_every_controller_votes_and_no_partition_lacks_a_replica(
    seen: Seen, bed: Inventory
) -> None:
    controllers = bed.group("kafka_controllers") or bed.group("kafka_brokers")
    told = seen.root["broker"]
    said = re.search(r"voters: ([0-9, ]+); every partition has all of its replicas", told)
    assert said is not None, told
    assert len(said[1].split(",")) == len(controllers)


@pytest.mark.on("kafka_brokers")
def test_brokers_run_with_what_is_on_their_disk(seen: Seen) -> None:
    assert seen.root["broker_differs"] == ""


@pytest.mark.on("kafka_brokers")
def test_declared_topics_are_as_declared(run_user: Host, node: Node) -> None:
    """Each broker's own view of partitions, replicas and settings."""
    wanted = {
        topic["name"]: [
            topic["partitions"],
            topic["replication"],
            {
                "min.insync.replicas": str(topic["min_insync_replicas"]),
                "retention.ms": str(round(topic["retention_hours"] * 3_600_000)),
            },
        ]
        for topic in node.variables.get("kafka_topics", [])
    }
    address = f"{node.bed_address}:{BROKER_PORT}"
    said = run_user.check_output(f"{VENV} -c %s %s %s", TOPICS, address, json.dumps(sorted(wanted)))
    assert json.loads(said) == wanted


@pytest.mark.on("spark_master")
def test_master_lists_all_workers_alive(seen: Seen, bed: Inventory) -> None:
    workers = seen.root["master"]["workers"]
    alive = {worker["host"] for worker in workers if worker["state"] == "ALIVE"}
    assert alive == {worker.bed_address for worker in bed.group("spark_workers")}


def test_application_hash_is_its_content(seen: Seen) -> None:
    hash_, target = seen.root["application"]
    assert target.endswith(f"/app-{hash_.strip()}")
    assert seen.root["application_imports"] == 0


def test_the_quotas_of_the_inventory_are_in_force(seen: Seen, node: Node) -> None:
    """On machines of their own there are none."""
    if node.cpus is not None:
        quota, period = map(int, seen.root["limits"]["cpu"].split())
        assert quota / period == pytest.approx(node.cpus, rel=0.01)
    if node.memory_bytes is not None:
        assert int(seen.root["limits"]["memory"]) == pytest.approx(node.memory_bytes, rel=0.01)
