"""Inventories: read through Ansible, refused with what is wrong."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from streambed import inventory, paths
from streambed.errors import StreambedError
from streambed.runner import remote

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


def test_two_hosts_with_one_bed_address_are_refused_too(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text(
        "all: {vars: {bed_name: b, bed_address: 198.51.100.1}, hosts: {a: , b: }}"
    )
    with pytest.raises(StreambedError, match=r"a and b have one address, 198\.51\.100\.1"):
        inventory.load(tmp_path)


def test_the_lab_is_an_example_of_machines_that_are_there() -> None:
    lab = inventory.load("lab")
    camera, cloud = lab.nodes
    assert (lab.provider, lab.in_containers, lab.subnet) == ("static", False, None)
    assert (camera.address, camera.bed_address) == ("192.0.2.11", "198.51.100.11")
    # What camera sends there leaves by its second interface, which is the one that is shaped.
    assert cloud.bed_address == cloud.address == "198.51.100.12"
    assert camera.cpus is None
    assert camera.user == "admin"
    assert camera.key_file == Path.home() / ".ssh" / "id_ed25519"


@pytest.mark.parametrize(
    ("place", "refused"),
    [
        ("{{ inventory_dir }}/secrets", True),
        ("{{ inventory_dir }}", True),
        ("{{ inventory_dir }}/../elsewhere/../lab/deep/secrets", True),
        ("{{ inventory_dir }}/../secrets", False),
        ("{{ inventory_dir }}/.streambed/tiny/secrets", False),  # Ansible leaves it out
    ],
)
def test_secrets_below_the_inventory_are_refused_before_they_are_nodes(
    place: str, refused: bool, tmp_path: Path
) -> None:
    lab = tmp_path / "lab"
    lab.mkdir()
    (lab / "hosts.yml").write_text(
        f"all: {{vars: {{bed_name: tiny, bed_secrets_dir: '{place}'}}, hosts: {{a: }}}}"
    )
    if not refused:
        assert [node.name for node in inventory.load(lab).nodes] == ["a"]
        return
    (lab / "secrets").mkdir()
    (lab / "secrets" / "spark").write_text("0123456789abcdef\n")
    with pytest.raises(StreambedError, match=r"`bed_secrets_dir` is .* below the inv") as refusal:
        inventory.load(lab)
    assert "0123456789abcdef" not in f"{refusal.value.message}{refusal.value.hint}"


PASSWORD = "open sesame"
READ = """
import sys
from streambed import inventory
from streambed.beds import ssh
print([ssh.become_password(node) for node in inventory.load(sys.argv[1]).nodes])
"""


@pytest.fixture
def vaulted(tmp_path: Path) -> Path:
    """An inventory with two passwords in a vault: a value of the file, and a file of one host."""
    from ansible.parsing.vault import VaultLib, VaultSecret

    vault = VaultLib([("default", VaultSecret(b"of the vault"))])
    lab = tmp_path / "lab"
    (lab / "host_vars").mkdir(parents=True)
    value = vault.encrypt(PASSWORD).decode().replace("\n", "\n" + " " * 8)
    (lab / "hosts.yml").write_text(
        "all:\n  vars: {bed_name: tiny}\n  hosts:\n    b:\n    a:\n"
        f"      ansible_become_password: !vault |\n        {value}\n"
    )
    file = vault.encrypt(f"ansible_become_password: {PASSWORD}\n")
    (lab / "host_vars" / "b.yml").write_bytes(file)
    (tmp_path / "password").write_text("of the vault\n")
    return lab


def test_passwords_in_a_vault_are_read_as_ansible_reads_them(vaulted: Path) -> None:
    """In another process: Ansible reads its settings once."""
    environ = os.environ | {
        "ANSIBLE_VAULT_PASSWORD_FILE": str(vaulted.parent / "password"),
        "PYTHONPATH": str(paths.ROOT / "app"),
    }
    done = subprocess.run(
        [sys.executable, "-c", READ, str(vaulted)],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == str([PASSWORD, PASSWORD]), done.stderr


def test_a_vault_without_its_password_says_where_that_is_named(vaulted: Path) -> None:
    with pytest.raises(StreambedError) as refused:
        inventory.load(vaulted)
    assert "ANSIBLE_VAULT_PASSWORD_FILE" in refused.value.hint


def test_a_proxy_command_is_kept_as_ssh_takes_it(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text(
        "all: {vars: {bed_name: b}, hosts: {a: {ansible_host: h, ansible_port: 2222, "
        "ansible_ssh_common_args: \"-o ProxyCommand='ssh -W %h:%p gate'\"}}}"
    )
    (node,) = inventory.load(tmp_path).nodes
    assert node.proxy_command == "ssh -W %h:%p gate"
    assert remote.proxy_words(node, node.proxy_command) == ["ssh", "-W", "h:2222", "gate"]


def test_a_bed_that_vagrant_made_is_vagrants(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    maker = inventory.maker_file("tiny")
    maker.parent.mkdir(parents=True)
    for provider, containers, cpus in (("docker", True, 0.5), ("libvirt", False, None)):
        maker.write_text(f"vagrant-{provider}\n")
        folder = tmp_path / provider
        folder.mkdir()
        bed = inventory.load(_inventory(folder))
        assert (bed.provider, bed.in_containers) == (f"vagrant-{provider}", containers)
        # A virtual machine has processors; no control group holds it to a part of one.
        assert bed.nodes[0].cpus == cpus


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
        ("bed_tcp_congestion_control: 3", r"`bed_tcp_congestion_control` is 3; allowed is"),
        ("bed_tcp_congestion_control: a b", r"`bed_tcp_congestion_control` is 'a b'"),
    ],
)
def test_a_value_that_is_none_is_named_with_its_node(
    given: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "hosts.yml").write_text(
        f"all: {{vars: {{bed_name: b}}, hosts: {{a: {{ansible_host: h, {given}}}}}}}"
    )
    with pytest.raises(StreambedError, match=message) as refused:
        inventory.load(tmp_path)
    assert str(tmp_path) in refused.value.message
