"""How Ansible gets into the container that is baked: SSH over `podman exec`, without a network.

One `podman exec` holds an sshd that serves its own standard input; Ansible's connection
sharing then runs the whole bake through it, with pipelining. Podman's connection plugin needs
half a dozen `podman exec` for every module instead, and took four times as long.
"""

import shlex
from pathlib import Path

import yaml

from streambed.beds import keys, podman, seed
from streambed.beds.files import write_atomically

DIRECTORY = "/run/streambed-bake"
"""Everything the door needs in the container; gone before the image is made."""

_SSHD = (
    "/usr/sbin/sshd",
    "-i",
    "-f",
    "/dev/null",
    *("-o", f"HostKey={DIRECTORY}/host_key"),
    *("-o", f"AuthorizedKeysFile={DIRECTORY}/authorized_keys"),
    *("-o", "PasswordAuthentication=no"),
    *("-o", "Subsystem=sftp internal-sftp"),
    *("-o", "MaxSessions=100"),
)


def open_door(container: str, directory: Path) -> Path:
    """Let the holder of `directory` into the container; returns the inventory to do it with."""
    controller, host = keys.generate(), keys.generate()
    content = seed.archive(
        {
            DIRECTORY.lstrip("/"): (None, 0o700),
            f"{DIRECTORY.lstrip('/')}/host_key": (host.private, 0o600),
            f"{DIRECTORY.lstrip('/')}/authorized_keys": (controller.public + b"\n", 0o600),
            "run/sshd": (None, 0o755),
        }
    )
    podman.call("cp", "-", f"{container}:/", stdin=content)
    write_atomically(directory / "key", controller.private)
    write_atomically(directory / "known_hosts", f"{container} ".encode() + host.public + b"\n")
    inventory = directory / "hosts.yml"
    inventory.write_text(yaml.safe_dump(render_inventory(container, directory)))
    return inventory


def render_inventory(container: str, directory: Path) -> dict[str, object]:
    """The inventory of the bake: one host, `image`, in the group `bake`."""
    host = {
        "ansible_host": container,
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(directory / "key"),
        "ansible_ssh_common_args": shlex.join(ssh_options(container, directory)),
        # In the throw-away directory, and short: the name of a socket has 108 bytes at most.
        "ansible_control_path": str(directory / "mux"),
        "ansible_python_interpreter": "/usr/bin/python3",
    }
    return {"all": {"children": {"bake": {"hosts": {"image": host}}}}}


def ssh_options(container: str, directory: Path) -> list[str]:
    """ssh's options: the pinned host key, and podman in the place of a network."""
    proxy = shlex.join([*podman.prefix(), "exec", "--interactive", container, *_SSHD])
    return [
        *("-o", f"UserKnownHostsFile={directory / 'known_hosts'}"),
        *("-o", "GlobalKnownHostsFile=/dev/null"),
        *("-o", "StrictHostKeyChecking=yes"),
        *("-o", "IdentitiesOnly=yes"),
        # ssh expands %; the shell it starts takes the quotes off.
        *("-o", f"ProxyCommand={proxy.replace('%', '%%')}"),
    ]
