"""Inventories: read through Ansible, refused with what is wrong."""

from pathlib import Path

import pytest

from streambed import inventory
from streambed.errors import StreambedError

HOSTS = """
all:
  vars: {bed_name: tiny, bed_prefix: 10.83.99, bed_subnet: "{{ bed_prefix }}.0/24"}
  hosts:
    a: {ansible_host: "{{ bed_prefix }}.11", cpus: 0.5, memory: 1 GiB}
    b: {ansible_host: "%s", ansible_user: lab, ansible_port: 2222,
        ansible_ssh_common_args: "-o UserKnownHostsFile=/k -J jump"}
  children:
    clients: {hosts: {a: }}
    spark_workers: {hosts: {b: }}
"""


def _inventory(folder: Path, other: str = "{{ bed_prefix }}.12") -> Path:
    (folder / "hosts.yml").write_text(HOSTS % other)
    return folder


def test_nodes_with_quotas_groups_and_the_way_to_them(tmp_path: Path) -> None:
    bed = inventory.load(_inventory(tmp_path))
    a, b = bed.nodes
    assert (bed.name, bed.subnet) == ("tiny", "10.83.99.0/24")
    assert (a.address, a.cpus, a.memory_bytes) == ("10.83.99.11", 0.5, 2**30)
    assert a.groups == {"clients"}
    assert (b.user, b.port, b.proxy_jump, b.known_hosts) == ("lab", 2222, "jump", Path("/k"))
    assert bed.group("spark_workers") == (b,)
    assert bed.group("nothing") == ()


def test_two_hosts_with_one_address_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(StreambedError, match=r"a and b have one address, 10\.83\.99\.11"):
        inventory.load(_inventory(tmp_path, "10.83.99.11"))


def test_an_unknown_node_is_answered_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(StreambedError, match="nodes are a, b"):
        inventory.load(_inventory(tmp_path)).node("c")


def test_an_unknown_inventory_is_answered_with_those_of_the_clone() -> None:
    with pytest.raises(StreambedError, match="inventory/duo"):
        inventory.resolve("inventory/trio")


def test_yaml_that_is_none_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text("all: [")
    with pytest.raises(StreambedError, match=str(tmp_path)):
        inventory.load(tmp_path)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("cpus: two", r"node a: `cpus` is 'two'; allowed is a number above 0"),
        ("cpus: -1", r"`cpus` is -1"),
        ("cpus: .nan", r"`cpus` is nan"),
        ("cpus: true", r"`cpus` is True"),
        ("ansible_port: x", r"`ansible_port` is 'x'; allowed is a whole number above 0"),
        ("memory: much", r"node a: `memory`: .*much"),
    ],
)
def test_a_number_that_is_none_is_named_with_its_node(
    given: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "hosts.yml").write_text(
        f"all: {{vars: {{bed_name: b}}, hosts: {{a: {{ansible_host: h, {given}}}}}}}"
    )
    with pytest.raises(StreambedError, match=message) as refused:
        inventory.load(tmp_path)
    assert str(tmp_path) in refused.value.message
