"""What listens, who reaches whom, the link's shaping, and the clock."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from testinfra.host import Host
from tests.infra.nodes import KAFKA, SSH_PORT, cluster, ports
from tests.infra.survey import TRIED_PORTS, Seen

from streambed.inventory import Inventory, Node

CLOCK_TOLERANCE_S = 1.0
RATE_BIT_PER_S = 10_000_000
HELPER = "sudo -n /usr/local/sbin/streambed-link"


def test_listens_on_the_beds_address_only(seen: Seen, node: Node) -> None:
    found = {(address, port) for address, port in seen.root["listening"] if port != SSH_PORT}
    assert found == {(node.bed_address, port) for port in ports(node)}


def test_no_datagram_socket(seen: Seen) -> None:
    assert seen.root["datagram"] == ""


def test_reaches_what_runs_and_nothing_else(seen: Seen, bed: Inventory) -> None:
    """Every node tries every service port of every node; those of services that run answer."""
    running = {(other.bed_address, port) for other in bed.nodes for port in ports(other)}
    answered = {(address, port) for address, port in seen.root["reached"]}
    assert answered == {(address, port) for address, port in running if port in TRIED_PORTS}


@pytest.mark.on("clients")
def test_client_gets_metadata_from_each_broker(run_user: Host, bed: Inventory) -> None:
    program = (
        "import sys; from confluent_kafka.admin import AdminClient; "
        "print([AdminClient({'bootstrap.servers': a}).list_topics(timeout=10).controller_id"
        " for a in sys.argv[1:]])"
    )
    addresses = [f"{node.bed_address}:{KAFKA.ports[0]}" for node in bed.group("kafka_brokers")]
    command = "/opt/streambed/venv/bin/python -c %s" + " %s" * len(addresses)
    controllers = json.loads(run_user.check_output(command, program, *addresses))
    assert len(controllers) == len(addresses)
    assert all(controller >= 1 for controller in controllers)


def test_clock_agrees_with_the_controllers(seen: Seen) -> None:
    before, there, after = seen.clock
    assert before - CLOCK_TOLERANCE_S < there < after + CLOCK_TOLERANCE_S


def shaped(run_user: Host) -> tuple[int | None, int | None]:
    """The link's rates, up and down, in bit/s."""
    seen = json.loads(run_user.check_output(f"{HELPER} show --json"))
    up, down = (seen[way] and seen[way]["rate_bit_per_s"] for way in ("up", "down"))
    return up, down


@pytest.fixture
def unshaped(run_user: Host) -> Iterator[None]:
    """The link is clear before and after, whatever happens between."""
    assert shaped(run_user) == (None, None), "the bed is not idle: its link is shaped"
    yield
    run_user.run(f"{HELPER} clear")


@pytest.mark.on("clients")
def test_link_knows_the_other_side(seen: Seen, bed: Inventory) -> None:
    config = json.loads(seen.root["link"])
    assert set(config["peers"]) == {node.bed_address for node in cluster(bed)}


@pytest.mark.on("clients")
@pytest.mark.usefixtures("unshaped")
def test_link_is_shaped_kept_over_a_boot_and_cleared(
    run_user: Host, host: Host, node: Node
) -> None:
    interface = host.check_output("ip -o -4 address show to %s", node.bed_address).split()[1]

    def disciplines() -> str:
        return str(host.check_output("tc qdisc show dev %s", interface))

    assert run_user.run(f"{HELPER} set --rate {RATE_BIT_PER_S}").rc == 0
    assert "htb" in disciplines()

    # A boot finds an interface without qdiscs; the unit, enabled, puts them back.
    assert host.service("streambed-link").is_enabled
    assert host.run("tc qdisc del dev %s root", interface).rc == 0
    assert "htb" not in disciplines()
    assert host.run("systemctl restart streambed-link").rc == 0
    assert shaped(run_user) == (RATE_BIT_PER_S, RATE_BIT_PER_S)

    assert run_user.run(f"{HELPER} clear").rc == 0
    assert "htb" not in disciplines()


@pytest.mark.on("clients")
def test_link_refuses_a_rate_that_is_none(run_user: Host) -> None:
    rates = ("0", "fast", "1;id")
    tries = "; ".join([f"{HELPER} set --rate %s; echo $?"] * len(rates))
    statuses = run_user.run(f"({tries}) 2>/dev/null", *rates).stdout.split()
    assert len(statuses) == len(rates)
    assert "0" not in statuses
    assert shaped(run_user) == (None, None)


def test_only_clients_shape(seen: Seen, node: Node) -> None:
    assert (seen.root["link"] is not None) == ("clients" in node.groups)
