"""What listens, who reaches whom, the link's shaping, and the clock."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from testinfra.host import Host
from tests.infra.nodes import BROKER_PORT, SSH_PORT, cluster, may_reach, ports
from tests.infra.survey import TRIED_PORTS, Seen

from streambed.inventory import Inventory, Node

CLOCK_TOLERANCE_S = 1.0
RATE_BIT_PER_S = 10_000_000
HELPER = "sudo -n /usr/local/sbin/streambed-link"


def own_ports(node: Node, bed: Inventory) -> set[int]:
    """Ports that are tried of a node; of one that others use too, those of our services."""
    return set(TRIED_PORTS) if bed.in_containers else ports(node)


def test_listens_on_the_beds_address_only(seen: Seen, node: Node, bed: Inventory) -> None:
    """On a machine that is not ours alone, others' ports are others' business."""
    found = {
        (address, port)
        for address, port in seen.root["listening"]
        if (port != SSH_PORT if bed.in_containers else port in ports(node))
    }
    assert found == {(node.bed_address, port) for port in ports(node)}


@pytest.mark.sealed
def test_no_datagram_socket(seen: Seen) -> None:
    assert seen.root["datagram"] == ""


def test_tcp_controls_congestion_as_the_bed_asks(seen: Seen, node: Node) -> None:
    """Not as whatever host a container is on: a shaped link treats each in its own way."""
    assert seen.root["congestion_control"].strip() == node.tcp_congestion_control


def test_reaches_what_it_may_and_nothing_else(seen: Seen, node: Node, bed: Inventory) -> None:
    """Every node tries every service port of every node; those that it needs answer."""
    wanted = {(other.bed_address, port) for other in bed.nodes for port in may_reach(node, other)}
    answered = {(address, port) for address, port in seen.root["reached"]}
    theirs = {(other.bed_address, port) for other in bed.nodes for port in own_ports(other, bed)}
    assert answered & theirs == wanted


def test_the_controller_gets_in_by_ssh_alone(bed: Inventory) -> None:
    """It is on no list but that of management; what it may not is dropped in silence."""
    tried = [(node, port) for node in bed.nodes for port in own_ports(node, bed)]

    def answers(pair: tuple[Node, int]) -> bool:
        try:
            socket.create_connection((pair[0].bed_address, pair[1]), timeout=2).close()
        except OSError:
            return False
        return True

    with ThreadPoolExecutor(len(tried)) as pool:
        found = [pair for pair, there in zip(tried, pool.map(answers, tried), strict=True) if there]
    assert [(node.name, port) for node, port in found] == []


@pytest.mark.sealed
def test_both_ways_are_closed_by_default(seen: Seen) -> None:
    assert seen.root["firewall"].count("policy drop") == 2


def test_the_way_without_encryption_is_closed(seen: Seen, node: Node) -> None:
    has_broker = node.groups & {"kafka_brokers", "kafka_standby"}
    assert seen.root["plaintext"] == ("closed" if has_broker else "")


@pytest.mark.on("clients")
def test_client_gets_metadata_from_each_broker(run_user: Host, bed: Inventory) -> None:
    program = (
        "import sys; sys.path.insert(0, '/opt/streambed/app'); "
        "from confluent_kafka.admin import AdminClient; "
        "from streambed.pipelines.kafka_access import PRODUCER, of; "
        "print([AdminClient(of(a, PRODUCER).librdkafka()).list_topics(timeout=10).controller_id"
        " for a in sys.argv[1:]])"
    )
    addresses = [f"{node.bed_address}:{BROKER_PORT}" for node in bed.group("kafka_brokers")]
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
