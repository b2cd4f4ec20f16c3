"""The few files that make a container of the common image this node and no other."""

import io
import tarfile
from collections.abc import Iterable

from streambed.beds.keys import KeyPair
from streambed.inventory import Node


def render_hosts(nodes: Iterable[Node]) -> str:
    """/etc/hosts: the bed's nodes by name, since nodes have no name server."""
    lines = ["127.0.0.1 localhost", *(f"{node.address} {node.name}" for node in nodes)]
    return "\n".join(lines) + "\n"


def render(node: Node, nodes: Iterable[Node], host: KeyPair, controller_public: bytes) -> bytes:
    """A tar archive to unpack at the node's root before its first start."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        _file(archive, "etc/hosts", render_hosts(nodes).encode(), 0o644)
        _file(archive, "etc/hostname", f"{node.name}\n".encode(), 0o644)
        _file(archive, "etc/ssh/ssh_host_ed25519_key", host.private, 0o600)
        _file(archive, "etc/ssh/ssh_host_ed25519_key.pub", host.public + b"\n", 0o644)
        _directory(archive, "root/.ssh", 0o700)
        _file(archive, "root/.ssh/authorized_keys", controller_public + b"\n", 0o600)
    return buffer.getvalue()


def _file(archive: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    archive.addfile(entry, io.BytesIO(content))


def _directory(archive: tarfile.TarFile, name: str, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, mode
    archive.addfile(entry)
