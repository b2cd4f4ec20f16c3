"""Who is on a node, who gets in, and what the run user may do as root."""

from __future__ import annotations

import re

import pytest
from testinfra.host import Host
from tests.infra.nodes import services

from streambed.inventory import Node

SWITCHABLE = {"kafka_brokers", "kafka_standby", "spark_workers"}


def test_service_users_cannot_log_in(host: Host, node: Node) -> None:
    for name in {service.user for service in services(node)}:
        user = host.user(name)
        assert user.shell == "/usr/sbin/nologin"
        assert user.groups == [name]
        assert user.password in {"!", "*"}


def test_run_user_logs_in_by_key(run_user: Host) -> None:
    assert run_user.run("id -un; id -Gn").stdout.split() == ["streambed", "streambed"]
    assert run_user.run("pwd").stdout.strip() == "/var/lib/streambed"


def test_run_user_writes_its_directories_only(run_user: Host) -> None:
    for name in ("models", "datasets", "runs"):
        path = f"/var/lib/streambed/{name}/.probe"
        assert run_user.run("touch %s && rm %s", path, path).rc == 0
    for path in ("/opt/streambed/app", "/opt/streambed/venv", "/etc/streambed", "/usr/local/sbin"):
        assert run_user.run("touch %s/.probe", path).rc != 0


def test_run_user_may_run_two_commands_as_root(host: Host, run_user: Host) -> None:
    listing = host.run("sudo -l -U streambed").stdout
    granted = re.findall(r"^\s+\((\S+)\) (NOPASSWD: )?(.*)$", listing, re.MULTILINE)
    assert [(who, what) for who, _, what in granted] == [
        ("root", "/usr/local/sbin/streambed-link, /usr/local/sbin/streambed-service")
    ]
    assert run_user.run("sudo -n /usr/bin/true").rc != 0
    assert run_user.run("sudo -n /usr/local/sbin/streambed-service").rc == 2


def test_service_helper_refuses(run_user: Host) -> None:
    commands = ("stop ssh", "restart kafka", "stop ../x")
    tries = [f"sudo -n /usr/local/sbin/streambed-service {each}; echo $?" for each in commands]
    refused = run_user.run("; ".join(tries))
    assert refused.stdout.split() == ["2"] * len(commands)
    assert refused.stderr.count("streambed-service:") == len(commands)


@pytest.mark.on(*SWITCHABLE)
def test_service_helper_knows_the_nodes_services(run_user: Host, node: Node) -> None:
    units = {
        unit
        for group, unit in (
            ("kafka_brokers", "kafka"),
            ("kafka_standby", "kafka"),
            ("spark_workers", "spark-worker"),
        )
        if group in node.groups
    }
    running = {service.unit for service in services(node)}
    for unit in units:
        expected = "active" if f"{unit}.service" in running else "inactive"
        answer = run_user.run(f"sudo -n /usr/local/sbin/streambed-service status {unit}")
        assert answer.stdout.strip() == expected


def test_ssh_takes_keys_only(host: Host) -> None:
    effective = host.run("/usr/sbin/sshd -T").stdout.splitlines()
    assert "passwordauthentication no" in effective
    assert "kbdinteractiveauthentication no" in effective
    assert "permitrootlogin without-password" in effective


def test_limits(run_user: Host) -> None:
    assert run_user.run("ulimit -n; ulimit -c").stdout.split() == ["16384", "0"]


@pytest.mark.on("spark_master")
def test_drivers_write_event_logs_that_the_history_server_reads(run_user: Host, host: Host) -> None:
    log = "/var/lib/spark/events/.probe"
    assert run_user.run("umask 007; echo log > %s", log).rc == 0
    read = host.run("runuser -u spark -- sh -c 'cat %s && rm %s'", log, log)
    assert read.stdout == "log\n", read.stderr
