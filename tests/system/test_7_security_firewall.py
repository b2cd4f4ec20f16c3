"""The network: a stranger gets nowhere, and a node in only where it should."""

import json
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.infra.survey import TRIED_PORTS
from tests.system.tools import Bed, until

from streambed.beds import podman
from streambed.beds.names import names_of
from streambed.inventory import Node

SSH = 22
LISTENING = "/run/streambed-listening"


def reached(nodes: tuple[Node, ...], source: str | None = None) -> list[tuple[str, int]]:
    """Node and port of what answers this host, or an address of it."""
    tried = [(node, port) for node in nodes for port in (SSH, *TRIED_PORTS)]

    def answers(pair: tuple[Node, int]) -> bool:
        own = None if source is None else (source, 0)
        try:
            socket.create_connection((pair[0].bed_address, pair[1]), 2, own).close()
        except OSError:
            return False
        return True

    with ThreadPoolExecutor(len(tried)) as pool:
        open_ = pool.map(answers, tried)
        return [(n.name, port) for (n, port), there in zip(tried, open_, strict=True) if there]


@pytest.fixture
def stranger(bed: Bed) -> Iterator[str]:
    """An address on the bed's own network that no inventory knows."""
    address = bed.inventory.nodes[0].bed_address.rsplit(".", 1)[0] + ".250"
    where = [f"{address}/32", "dev", names_of(bed.name).bridge]
    subprocess.run([*podman.as_root(), "ip", "address", "add", *where], check=True)
    yield address
    subprocess.run([*podman.as_root(), "ip", "address", "del", *where], check=True)


def test_an_address_outside_of_the_inventory_gets_nowhere(bed: Bed, stranger: str) -> None:
    assert reached(bed.inventory.nodes, stranger) == []
    # As a control: the controller's own address has its way in.
    assert reached(bed.inventory.nodes) == [(node.name, SSH) for node in bed.inventory.nodes]


@pytest.fixture
def unbound(bed: Bed) -> Iterator[None]:
    """Nodes whose own firewalls let everything out: only who is asked can refuse."""
    for node in bed.inventory.nodes:
        script = "nft flush chain inet streambed output && "
        bed.root(node.name, script + "nft 'chain inet streambed output { policy accept; }'")
    yield
    for node in bed.inventory.nodes:
        bed.root(node.name, "systemctl restart streambed-firewall")


@pytest.mark.usefixtures("unbound")
@pytest.mark.parametrize(("source", "target"), [("client", "cloud"), ("cloud", "client")])
def test_a_node_that_may_send_everything_is_let_in_where_it_should(
    bed: Bed, source: str, target: str
) -> None:
    """On every port that the bed knows something listens: closed is refused, not empty.

    The link is measured both ways, and Kafka is on the cloud or, for some cells, on the client.
    """
    address = bed.inventory.node(target).bed_address
    ports = [str(port) for port in (SSH, *TRIED_PORTS, 7002, 7100)]
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(bed.program, target, "listen", LISTENING, address, *ports)
        try:
            there = f"test -e {LISTENING} && echo yes"
            until(lambda: bed.root(target, there, check=False).strip(), "listeners", 30)
            own = json.loads(bed.program(target, "connect", address, *ports))
            answered = json.loads(bed.program(source, "connect", address, *ports))
        finally:
            bed.root(target, f"rm -f {LISTENING}")
        held.result()
    assert {str(port) for port in own} == set(ports) - {"9095"}
    assert answered == [5201, 9092]


def test_tables_of_others_survive(bed: Bed) -> None:
    bed.root("client", "nft add table inet foreign && systemctl restart streambed-firewall")
    tables = bed.root("client", "nft list tables").splitlines()
    assert {"table inet foreign", "table inet streambed"} <= set(tables)
    bed.root("client", "nft delete table inet foreign")
