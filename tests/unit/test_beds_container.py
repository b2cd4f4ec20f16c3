"""What a node's container is asked to be, and what makes it that node."""

import io
import tarfile
from pathlib import Path
from types import MappingProxyType

import pytest

from streambed.beds import keys, seed
from streambed.beds.names import names_of
from streambed.beds.podman_provider import create_arguments, spec_hash
from streambed.errors import StreambedError
from streambed.inventory import Node


def node(name: str, address: str, port: int = 22) -> Node:
    return Node(
        name=name,
        address=address,
        bed_address=address,
        groups=frozenset(),
        cpus=0.4,
        memory_bytes=2**30,
        user="root",
        port=port,
        key_file=None,
        known_hosts=None,
        proxy_jump=None,
        variables=MappingProxyType({}),
    )


NODES = (node("client", "10.83.1.11"), node("cloud", "10.83.1.12", port=2222))


def test_names_fit_the_kernel_and_tell_beds_apart() -> None:
    one, other = names_of("duo"), names_of("trio")
    assert len(one.bridge) <= 15
    assert one.bridge != other.bridge
    assert one.container("client") == f"{one.network}-client"


@pytest.mark.parametrize("name", ["", "Duo", "a_b", "-a", "a/b", "a" * 33])
def test_names_that_cannot_be_host_names_are_refused(name: str) -> None:
    with pytest.raises(StreambedError, match="bed_name"):
        names_of(name)


def test_quotas_and_address_are_asked_for_and_change_the_specification() -> None:
    arguments = create_arguments(NODES[0], names_of("duo"))
    assert {"--cpus=0.4", "--memory=1073741824", "--ip=10.83.1.11"} <= set(arguments)
    other = create_arguments(NODES[1], names_of("duo"))
    assert spec_hash(arguments) != spec_hash(other)


def test_host_keys_are_pinned_under_the_name_ssh_looks_up() -> None:
    pairs = {one.name: keys.generate() for one in NODES}
    first, second = keys.render_known_hosts(NODES, pairs).splitlines()
    assert first.startswith("10.83.1.11 ssh-ed25519 ")
    assert second.startswith("[10.83.1.12]:2222 ssh-ed25519 ")


def test_keys_are_made_once_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    first = keys.ensure(tmp_path, "duo", NODES)
    assert keys.ensure(tmp_path, "duo", NODES) == first
    modes = {
        str(path.relative_to(tmp_path)): path.stat().st_mode & 0o777
        for path in tmp_path.rglob("*")
        if path.suffix != ".pub"
    }
    assert modes == {
        "ssh": 0o700,
        "ssh/hosts": 0o700,
        "ssh/hosts/client_ed25519": 0o600,
        "ssh/hosts/cloud_ed25519": 0o600,
        "ssh/id_ed25519": 0o600,
        "ssh/known_hosts": 0o600,
    }


def test_a_key_whose_making_was_interrupted_is_made_again(tmp_path: Path) -> None:
    first = keys.ensure(tmp_path, "duo", NODES)
    (tmp_path / "ssh" / "id_ed25519").unlink()
    assert keys.ensure(tmp_path, "duo", NODES).controller != first.controller


def test_the_seed_carries_one_nodes_keys_with_their_modes() -> None:
    host = keys.generate()
    content = seed.render(NODES[0], NODES, host, b"ssh-ed25519 K")
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        modes = {member.name: member.mode for member in archive.getmembers()}
    assert modes["root/.ssh"] == 0o700
    assert modes["root/.ssh/authorized_keys"] == 0o600
    assert modes["etc/ssh/ssh_host_ed25519_key"] == 0o600
    assert seed.render_hosts(NODES).splitlines() == [
        "127.0.0.1 localhost",
        "10.83.1.11 client",
        "10.83.1.12 cloud",
    ]
