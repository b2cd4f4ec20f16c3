"""Who is on a node, who gets in, and what the run user may do as root."""

from __future__ import annotations

import re

import pytest
from testinfra.host import Host
from tests.infra.nodes import services, switchable
from tests.infra.survey import Seen

from streambed.inventory import Node


def test_service_users_cannot_log_in(seen: Seen, node: Node) -> None:
    for name in {service.user for service in services(node)}:
        user = seen.root["users"][name]
        assert user["shell"] == "/usr/sbin/nologin"
        assert user["groups"] == [name]
        assert user["password"] in {"!", "*"}


def test_run_user_logs_in_by_key(seen: Seen) -> None:
    assert seen.run_user["identity"] == ["streambed", "streambed"]
    assert seen.run_user["home"] == "/var/lib/streambed"


def test_run_user_writes_its_directories_only(seen: Seen) -> None:
    assert seen.run_user["writes"] == ["models", "datasets", "runs"]
    assert seen.run_user["writes_elsewhere"] == []


def test_run_user_may_run_our_helpers_as_root_and_nothing_else(seen: Seen) -> None:
    granted = re.findall(r"\((\S+)\) NOPASSWD: ([^()]*)", seen.root["sudo"])
    (who, what), *others = granted
    commands = [word.strip() for word in what.split(",")]
    names = ("heaps", "link", "plaintext", "service")
    helpers = [f"/usr/local/sbin/streambed-{name}" for name in names]
    assert (who, commands, others) == ("root", helpers, [])
    assert seen.run_user["root_command"] != 0
    assert seen.run_user["helper_without_arguments"] == 2


def test_keys_and_passwords_are_their_owners(seen: Seen) -> None:
    assert seen.run_user["reads"] == []
    for path, rights in seen.root["secrets"].items():
        if path.startswith("/etc/kafka/"):
            assert rights == "root kafka 0640", path
        elif path == "/etc/spark/secret.env":
            assert rights == "root root 0600", path
        elif path == "/etc/spark/kafka.jaas":
            assert rights == "spark spark 0400", path
        else:
            assert rights == "streambed streambed 0400", path


def test_each_node_has_the_accounts_that_it_needs(seen: Seen, node: Node) -> None:
    beside = {"kafka_brokers", "kafka_standby"} & node.groups
    reads = {"kafka_consumers", "spark_master", "spark_workers"} & node.groups
    accounts = {
        *(["admin", "producer"] if beside else []),
        *(["producer"] if "clients" in node.groups else []),
        *(["classifier"] if reads else []),
    }
    folder = "/etc/streambed/kafka/"
    found = {path.removeprefix(folder) for path in seen.root["secrets"] if path.startswith(folder)}
    jaas = {"classifier.jaas"} if "spark_master" in node.groups else set()
    assert found == {f"{account}.properties" for account in accounts} | jaas


@pytest.mark.on("spark_master")
def test_event_logs_are_their_owners(seen: Seen) -> None:
    assert seen.root["events_directory"] & 0o007 == 0
    # A rolling log is a directory of its own.
    assert [each for each in seen.root["events"] if int(each.split()[1], 8) & 0o007] == []


def test_service_helper_refuses(seen: Seen) -> None:
    assert seen.run_user["helper_refuses"] == [[2, True]] * 4


def test_service_helper_knows_the_nodes_services(seen: Seen, node: Node) -> None:
    running = {service.unit for service in services(node)}
    assert seen.run_user["helper_status"] == {
        unit: "active" if f"{unit}.service" in running else "inactive" for unit in switchable(node)
    }


def test_ssh_takes_keys_only(seen: Seen) -> None:
    """Of the run user; whom else a machine of a lab lets in is its own business."""
    effective = seen.root["sshd"]
    assert "passwordauthentication no" in effective
    assert "kbdinteractiveauthentication no" in effective


@pytest.mark.sealed
def test_root_logs_in_by_key_only(seen: Seen) -> None:
    assert "permitrootlogin without-password" in seen.root["sshd"]


def test_limits(seen: Seen) -> None:
    assert (seen.run_user["open_files"], seen.run_user["core_bytes"]) == (16384, 0)


@pytest.mark.on("spark_master")
def test_drivers_write_event_logs_that_the_history_server_reads(run_user: Host, host: Host) -> None:
    log = "/var/lib/spark/events/.probe"
    assert run_user.run("umask 007; echo log > %s", log).rc == 0
    read = host.run("runuser -u spark -- sh -c 'cat %s && rm %s'", log, log)
    assert read.stdout == "log\n", read.stderr
