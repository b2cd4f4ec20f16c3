"""A bed's SSH keys: the controller's own and the nodes' host keys, made once per bed.

The host keys are made here and handed to the nodes, so that `known_hosts` is complete
before a node first answers: there is no first contact to trust blindly.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from streambed.beds.files import private_directory, write_atomically
from streambed.inventory import Node


@dataclass(frozen=True)
class KeyPair:
    """An ed25519 key in OpenSSH's own formats."""

    private: bytes
    public: bytes
    """Type and key, without a comment or a newline."""


@dataclass(frozen=True)
class BedKeys:
    """The controller's key and one host key per node."""

    controller: KeyPair
    hosts: dict[str, KeyPair]


def generate() -> KeyPair:
    """A fresh ed25519 key."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    key = Ed25519PrivateKey.generate()
    return KeyPair(
        key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()),
        key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH),
    )


def ensure(state: Path, bed: str, nodes: Iterable[Node]) -> BedKeys:
    """Make what is missing below `state`/ssh (0700; keys 0600) and pin the nodes' host keys."""
    nodes = list(nodes)
    directory = private_directory(state / "ssh")
    hosts_directory = private_directory(directory / "hosts")
    controller = _ensure_pair(directory / "id_ed25519", comment=f"streambed bed {bed}")
    hosts = {
        node.name: _ensure_pair(hosts_directory / f"{node.name}_ed25519", comment=node.name)
        for node in nodes
    }
    write_atomically(directory / "known_hosts", render_known_hosts(nodes, hosts))
    return BedKeys(controller, hosts)


def render_known_hosts(nodes: Iterable[Node], hosts: dict[str, KeyPair]) -> str:
    """One pinned key per node, under the name SSH looks it up by."""
    return "".join(f"{_lookup_name(node)} {hosts[node.name].public.decode()}\n" for node in nodes)


def _lookup_name(node: Node) -> str:
    return node.address if node.port == 22 else f"[{node.address}]:{node.port}"


def _ensure_pair(path: Path, *, comment: str) -> KeyPair:
    public = path.with_name(f"{path.name}.pub")
    # The private key is written last: where it is, its public half is too.
    if path.exists() and public.exists():
        key_type, key, *_ = public.read_bytes().split()
        return KeyPair(path.read_bytes(), key_type + b" " + key)
    pair = generate()
    write_atomically(public, pair.public + f" {comment}\n".encode(), mode=0o644)
    write_atomically(path, pair.private)
    return pair
