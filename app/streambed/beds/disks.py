"""Disks of limited size for brokers: files with a file system, which podman mounts into nodes.

A log that fills its node then fills no host, and what it holds outlives a stop of the node.
"""

from collections.abc import Sequence

from streambed.beds import podman
from streambed.beds.names import LABEL_ID, BedNames
from streambed.errors import StreambedError
from streambed.inventory import Node
from streambed.quantities import parse_size

FOLDER = "/var/lib/streambed/disks"
"""On the host, of root's; a file takes the room of what was written to it, up to its size."""

MOUNTED_AT = "/var/lib/kafka"
DEFAULT = "6 GiB"
"""What `broker_disk` of a node is when its inventory does not say."""

_GROUPS = {"kafka_brokers", "kafka_standby", "kafka_controllers"}

# Few inodes and a short journal, both written now: the kernel would do it while somebody measures.
_MAKE = """\
set -eu
mkdir -p "$1"
rm -f "$1/$2"
truncate -s "$3" "$1/$2"
mkfs.ext4 -q -F -m 0 -i 262144 -J size=16 -E lazy_itable_init=0,lazy_journal_init=0 "$1/$2"
"""


def size_bytes(node: Node) -> int | None:
    """How large the node's disk is; None when it has no broker.

    Raises:
        StreambedError: `broker_disk` is no size.
    """
    if not _GROUPS & node.groups:
        return None
    try:
        return parse_size(node.variables.get("broker_disk", DEFAULT))
    except StreambedError as error:
        raise StreambedError(f"node {node.name}: `broker_disk`: {error.message}") from None


def arguments(node: Node, names: BedNames) -> list[str]:
    """What `podman create` is told of the disk; another size is another container."""
    size = size_bytes(node)
    if size is None:
        return []
    return [f"--volume={names.disk(node.name)}:{MOUNTED_AT}", f"--label=streambed.disk={size}"]


def make(node: Node, names: BedNames) -> None:
    """A new, empty disk for a node that is about to be made, in the place of an old one."""
    size = size_bytes(node)
    if size is None:
        return
    name = names.disk(node.name)
    podman.attempt("volume", "rm", "--force", name)
    file = f"{name}.ext4"
    _as_root(_MAKE, FOLDER, file, str(size))
    podman.call(
        *("volume", "create", *(f"--label={key}={value}" for key, value in names.labels().items())),
        *("--opt=type=ext4", "--opt=o=loop,noatime", f"--opt=device={FOLDER}/{file}", name),
    )


def remove(names: BedNames) -> bool:
    """Remove every disk of a bed whose nodes are gone; False when there was none."""
    found = podman.call("volume", "ls", "--quiet", f"--filter=label={LABEL_ID}={names.id}").split()
    if found:
        podman.call("volume", "rm", "--force", *found)
    # One that was being made when its `up` was killed has no volume yet.
    _as_root('rm -f "$1/$2"*; rmdir "$1" 2>/dev/null || true', FOLDER, names.disk(""))
    return bool(found)


def _as_root(script: str, *words: str) -> None:
    argv: Sequence[str] = [*podman.as_root(), "sh", "-c", script, "sh", *words]
    done = podman.run_uninterrupted(argv)
    if done.returncode != 0:
        raise StreambedError(
            f"a broker's disk in {FOLDER}: {podman.last_words(done.stderr)}",
            hint="./streambed doctor; it needs mkfs.ext4 (e2fsprogs) and a loop device",
        )
