"""Units run as they should, in the versions that are pinned, and cannot do what they should not."""

from __future__ import annotations

import json

import pytest
from testinfra.host import Host
from tests.infra.nodes import Service, services

from streambed.inventory import Inventory, Node


def main_pid(host: Host, service: Service) -> str:
    return str(host.check_output("systemctl show --value -p MainPID %s", service.unit))


def test_is_active_and_enabled(host: Host, service: Service) -> None:
    states = host.run("systemctl is-active %s; systemctl is-enabled %s", service.unit, service.unit)
    assert states.stdout.split() == ["active", "enabled"]


@pytest.mark.on("kafka_standby")
def test_standby_broker_is_installed_and_stopped(host: Host) -> None:
    states = host.run("systemctl is-active kafka; systemctl is-enabled kafka").stdout.split()
    assert states == ["inactive", "disabled"]
    assert host.file("/etc/kafka/server.properties").exists
    assert host.file("/opt/kafka/libs").is_directory


def test_no_unit_failed(host: Host) -> None:
    assert host.check_output("systemctl list-units --failed --plain --no-legend") == ""


def test_runs_as_its_user_without_privileges(host: Host, service: Service) -> None:
    pid = main_pid(host, service)
    status = dict(
        line.split(":", 1) for line in host.check_output("cat /proc/%s/status", pid).splitlines()
    )
    uid = host.user(service.user).uid
    assert set(status["Uid"].split()) == {str(uid)}
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"].strip() == "1"
    assert status["Seccomp"].strip() == "2"


def test_jvm_starts_from_the_archive_that_the_image_has(host: Host, service: Service) -> None:
    """Only a baked image has one; a JVM whose class path differs from it ignores it silently."""
    archive = f"/opt/streambed/classes/{service.unit.removesuffix('.service')}.jsa"
    mapped = host.check_output("cat /proc/%s/maps", main_pid(host, service))
    assert (archive in mapped) == host.file(archive).exists


def test_sandbox_takes_effect(host: Host, service: Service) -> None:
    """A writer to whom file rights mean nothing, in the service's mount namespace.

    It is the service's user (a container's root may not look into another user's process) with the
    capability to override file rights: only the sandbox can be what stops it.
    """
    pid = main_pid(host, service)
    capabilities = "+sys_admin,+sys_chroot,+dac_override"
    inside = (
        f"setpriv --reuid={service.user} --regid={service.user} --clear-groups"
        f" --inh-caps={capabilities} --ambient-caps={capabilities} nsenter --mount --target {pid}"
    )
    for path in ("/etc", "/usr/local", "/opt/streambed", "/var/lib/streambed"):
        assert host.run("touch %s/.probe && rm %s/.probe", path, path).rc == 0
        write = host.run(f"{inside} touch %s/.probe", path)
        assert write.rc != 0, f"{service.unit} could write to {path}"
        assert "Read-only file system" in write.stderr
    allowed = f"{service.writable}/.probe"
    assert host.run(f"{inside} touch %s && rm %s", allowed, allowed).rc == 0
    private = host.run(f"touch /tmp/.probe; {inside} ls -A /tmp /root; rm /tmp/.probe").stdout
    assert ".probe" not in private
    assert ".ssh" not in private


def test_runs_the_pinned_version(host: Host, service: Service, versions: dict[str, str]) -> None:
    pid = main_pid(host, service)
    opened = host.run(f"runuser -u {service.user} -- ls -l /proc/{pid}/fd").stdout
    assert f"/{service.jar}{versions[service.version]}.jar" in opened


def test_open_files_limit(host: Host, service: Service) -> None:
    limits = host.check_output("grep 'Max open files' /proc/%s/limits", main_pid(host, service))
    assert limits.split()[3:5] == ["16384", "16384"]


def test_java_is_the_pinned_one(host: Host, node: Node, versions: dict[str, str]) -> None:
    if services(node) or "kafka_standby" in node.groups:
        banner = host.run("java -version").stderr
        assert f'version "{versions["java"]}.' in banner


def test_python_environment_is_the_locked_one(host: Host, wheels: dict[str, str]) -> None:
    program = (
        "import json, importlib.metadata as m; "
        "print(json.dumps({d.metadata['Name']: d.version for d in m.distributions()}))"
    )
    found = json.loads(host.check_output("/opt/streambed/venv/bin/python -I -c %s", program))
    installed = {name.lower().replace("_", "-"): version for name, version in found.items()}
    # pip came with the environment, not from the lock.
    installed.pop("pip")
    assert installed == wheels


def test_no_jar_or_archive_on_pythons_path(host: Host) -> None:
    program = "import sys; print([p for p in sys.path if p.endswith(('.jar', '.zip'))])"
    python = (
        "PYTHONPATH=/opt/spark/jars/spark-core_2.13-4.0.0.jar:/x.zip /opt/streambed/venv/bin/python"
    )
    assert host.check_output(f"{python} -c %s", program) == "[]"


@pytest.mark.on("kafka_brokers")
def test_broker_answers_with_all_brokers(host: Host, bed: Inventory) -> None:
    answer = host.check_output("/usr/local/lib/streambed/kafka-ready --timeout 5")
    for broker in bed.group("kafka_brokers"):
        assert f"{broker.bed_address}:9092" in answer


@pytest.mark.on("spark_master")
def test_master_lists_all_workers_alive(host: Host, node: Node, bed: Inventory) -> None:
    program = f"import urllib.request as u; print(u.urlopen('http://{node.bed_address}:8080/json/').read().decode())"
    state = json.loads(host.check_output("python3 -c %s", program))
    alive = {worker["host"] for worker in state["workers"] if worker["state"] == "ALIVE"}
    assert alive == {worker.bed_address for worker in bed.group("spark_workers")}


def test_application_hash_is_its_content(host: Host) -> None:
    installed = host.check_output("cat /opt/streambed/app/HASH")
    assert host.check_output("readlink /opt/streambed/app").endswith(f"/app-{installed}")
    assert (
        host.run(
            "cd /opt/streambed/app && PYTHONPATH=. /opt/streambed/venv/bin/python -I -c "
            "'import sys; sys.path.insert(0, \".\"); import streambed.pipelines'"
        ).rc
        == 0
    )
