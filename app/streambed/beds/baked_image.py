"""The baked image: the base image with every role's fixed files installed.

`up` makes nodes of it, finds everything installed and only configures. It holds nothing of a
machine or a bed: no address, host key, machine id or secret.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from streambed import artifacts, paths
from streambed.beds import (
    bake_door,
    base_image,
    image_inputs,
    locks,
    playbook,
    podman,
    processes,
)

REPOSITORY = "localhost/streambed-node"

_LABEL = "streambed.image=node"

_WORK_NAME = "streambed-bake-"
"""A container being baked: this, then the identity of the process it belongs to. By name, since
labels go on into the image, and from there to every node."""

_PLAYBOOK = paths.ROOT / "ansible" / "bake.yml"


def image_name() -> str:
    """What the baked image is called, made or not; asks nobody."""
    base = base_image.tag(paths.ROOT / "roles")
    return f"{REPOSITORY}:{image_inputs.digest(paths.ROOT, base)}"


def name_if_there() -> str | None:
    """The baked image's name, or None when it (or its base) has still to be made."""
    if not base_image.exists(base_image.tag(paths.ROOT / "roles")):
        return None
    name = image_name()
    return name if base_image.exists(name) else None


def ensure(say: Callable[[str], None]) -> str:
    """The baked image's name; it is made first when podman does not have it (minutes).

    Raises:
        StreambedError: an artifact cannot be had, a role's install part failed, the disk is full.
    """
    found = name_if_there()
    if found is not None:
        return found
    base = base_image.ensure(say)
    name = image_name()
    lock = paths.cache_dir() / "locks" / "bake.lock"
    with locks.shared_work(lock, waiting=lambda who: say(f"node image: waiting for {who}")):
        if not base_image.exists(name):
            _remove_leftovers()
            artifacts.ensure()
            say("node image: installing Kafka, Spark and Chainer (some minutes, once)")
            _bake(base, name)
    return name


def _bake(base: str, name: str) -> None:
    bake_id = f"bake-{_identity(os.getpid())}"
    with (
        _container(base) as container,
        tempfile.TemporaryDirectory(prefix="streambed-bake-") as directory,
    ):
        inventory = bake_door.open_door(container, Path(directory))
        log = paths.cache_dir() / "log" / "bake.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        try:
            playbook.run(_PLAYBOOK, inventory, bed_id=bake_id, log=log)
        finally:
            processes.end_leftovers(bake_id)
        podman.call("exec", container, "sh", "-c", _CLEANING)
        podman.call("stop", "--time=0", container)
        # Named last and in one step: an image that has the name is whole.
        image = podman.call(
            "commit", "--quiet", "--change=CMD /sbin/init", f"--change=LABEL {_LABEL}", container
        )
        podman.call("tag", image, name)


_CLEANING = (
    f"set -eu; rm -rf {bake_door.DIRECTORY} /run/sshd /root/.ansible /root/.cache /root/.ssh "
    "/tmp/* /var/tmp/* /etc/ssh/ssh_host_*; find /var/log -type f -delete; : > /etc/machine-id"
)


@contextmanager
def _container(base: str) -> Iterator[str]:
    """A throw-away container of the base image, idle and without a network."""
    container = podman.call(
        "create",
        "--network=none",
        "--hostname=image",
        *podman.LIMITS,
        f"--name={_WORK_NAME}{_identity(os.getpid())}",
        base,
        "sleep",
        "infinity",
    )
    try:
        podman.call("start", container)
        yield container
    finally:
        podman.call("rm", "--force", "--time=0", container)


def _remove_leftovers() -> None:
    """Remove what killed bakes left: containers of dead processes, images never named."""
    names = podman.call("ps", "--all", f"--filter=name=^{_WORK_NAME}", "--format={{.Names}}")
    for name in names.split():
        owner = name.removeprefix(_WORK_NAME)
        if owner != _identity(int(owner.split("-")[0])):
            podman.call("rm", "--force", "--time=0", name)
    unnamed = podman.call("images", "--quiet", "--filter=dangling=true", f"--filter=label={_LABEL}")
    for image in sorted(set(unnamed.split())):
        # Another clone may just be about to name it, or a container still uses it.
        podman.attempt("rmi", image)


def _identity(pid: int) -> str:
    """`pid-starttime`: a pid alone may have been given to another process since."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "dead"
    return f"{pid}-{fields[19]}"
