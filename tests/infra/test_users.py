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


def test_run_user_may_run_two_commands_as_root(seen: Seen) -> None:
    granted = re.findall(r"^\s+\((\S+)\) (NOPASSWD: )?(.*)$", seen.root["sudo"], re.MULTILINE)
    assert [(who, what) for who, _, what in granted] == [
        ("root", "/usr/local/sbin/streambed-link, /usr/local/sbin/streambed-service")
    ]
    assert seen.run_user["root_command"] != 0
    assert seen.run_user["helper_without_arguments"] == 2


def test_service_helper_refuses(seen: Seen) -> None:
    assert seen.run_user["helper_refuses"] == [[2, True]] * 3


def test_service_helper_knows_the_nodes_services(seen: Seen, node: Node) -> None:
    running = {service.unit for service in services(node)}
    assert seen.run_user["helper_status"] == {
        unit: "active" if f"{unit}.service" in running else "inactive" for unit in switchable(node)
    }


def test_ssh_takes_keys_only(seen: Seen) -> None:
    effective = seen.root["sshd"]
    assert "passwordauthentication no" in effective
    assert "kbdinteractiveauthentication no" in effective
    assert "permitrootlogin without-password" in effective


def test_limits(seen: Seen) -> None:
    assert (seen.run_user["open_files"], seen.run_user["core_bytes"]) == (16384, 0)


@pytest.mark.on("spark_master")
def test_drivers_write_event_logs_that_the_history_server_reads(run_user: Host, host: Host) -> None:
    log = "/var/lib/spark/events/.probe"
    assert run_user.run("umask 007; echo log > %s", log).rc == 0
    read = host.run("runuser -u spark -- sh -c 'cat %s && rm %s'", log, log)
    assert read.stdout == "log\n", read.stderr
