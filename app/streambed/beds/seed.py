"""The few files that make a container of the common image this node and no other."""

import io
import tarfile
from collections.abc import Iterable, Mapping

from streambed.beds.keys import KeyPair
from streambed.inventory import Node


def render_hosts(nodes: Iterable[Node]) -> str:
    """/etc/hosts: the bed's nodes by name, since nodes have no name server."""
    lines = ["127.0.0.1 localhost", *(f"{node.address} {node.name}" for node in nodes)]
    return "\n".join(lines) + "\n"


def render(node: Node, nodes: Iterable[Node], host: KeyPair, controller_public: bytes) -> bytes:
    """A tar archive to unpack at the node's root before its first start."""
    return archive(
        {
            "etc/hosts": (render_hosts(nodes).encode(), 0o644),
            "etc/hostname": (f"{node.name}\n".encode(), 0o644),
            "etc/ssh/ssh_host_ed25519_key": (host.private, 0o600),
            "etc/ssh/ssh_host_ed25519_key.pub": (host.public + b"\n", 0o644),
            "root/.ssh": (None, 0o700),
            "root/.ssh/authorized_keys": (controller_public + b"\n", 0o600),
        }
    )


def archive(entries: Mapping[str, tuple[bytes | None, int]]) -> bytes:
    """A tar archive of files (content, mode) and directories (None, mode), all root's."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as stream:
        for name, (content, mode) in entries.items():
            entry = tarfile.TarInfo(name)
            entry.mode = mode
            if content is None:
                entry.type = tarfile.DIRTYPE
                stream.addfile(entry)
            else:
                entry.size = len(content)
                stream.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
