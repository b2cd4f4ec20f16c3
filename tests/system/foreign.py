"""Machines handed over as somebody else's: a plain Debian, reached as its user, with its own life.

Containers make them, and nothing else is known of that: no label, no name, no key of a bed. The
first has two interfaces and asks for a password at sudo, the second has neither. On both, others
have a firewall table, a service and a user.
"""

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tests.system.tools import Bed, free_prefix, until

from streambed import paths
from streambed.beds import base_image, capacity, congestion, keys, podman, seed

PASSWORD = "open sesame"
OTHERS_PORT = 8099
# While they are measured: together what a small host has. Before and after, each has all of it.
CPUS = {"camera": 0.5, "cloud": 1.5}
# What the roles install and the machines have not; the rest of it a Debian that is reached over SSH
# as a user has anyway.
LACKING = ("ethtool", "iperf3", "openjdk-17-jre-headless", "python3-venv")

_HAND_OVER = f"""\
set -eu
useradd --create-home --shell /bin/bash lab
echo "lab:{PASSWORD}" | chpasswd
mkdir -m 0700 /home/lab/.ssh
mv /tmp/authorized_keys /home/lab/.ssh/
chown -R lab:lab /home/lab/.ssh
echo "lab ALL=(ALL:ALL) $1" > /etc/sudoers.d/lab
chmod 0440 /etc/sudoers.d/lab
useradd --system --no-create-home --shell /usr/sbin/nologin others
cat > /etc/systemd/system/others.service <<'UNIT'
[Service]
User=others
ExecStart=/usr/bin/python3 -m http.server {OTHERS_PORT} --directory /srv
[Install]
WantedBy=multi-user.target
UNIT
cat > /etc/nftables.conf <<'RULES'
table inet others {{
    chain input {{
        type filter hook input priority 10; policy accept;
        tcp dport 9999 drop
    }}
}}
RULES
systemctl enable --now --quiet others.service nftables.service
# With the configuration that they leave, so that nothing tells that they were there.
export DEBIAN_FRONTEND=noninteractive
apt-get -qqy purge {" ".join(LACKING)} ca-certificates-java java-common </dev/null >/dev/null
"""


@dataclass(frozen=True)
class Lab(Bed):
    """The inventory of such machines, and how the tests look into them past it."""

    containers: Mapping[str, str]
    networks: Mapping[str, str]

    def on(self, node: str, *command: str, stdin: str | None = None) -> str:
        """Run a command as the machine's root, not over SSH."""
        words = ["exec", "--interactive", self.containers[node], *command]
        return podman.call(*words, stdin=None if stdin is None else stdin.encode())

    def snapshot(self) -> dict[str, dict[str, Any]]:
        """Everything of each machine that must be left as it was."""
        program = (Path(__file__).parent / "snapshot.py").read_text()
        return {
            node: json.loads(self.on(node, "python3", "-", stdin=program))
            for node in self.containers
        }

    def start(self, playbook: str, *options: str) -> "subprocess.Popen[str]":
        """Start a playbook by hand; the caller reads what it says."""
        command = str(Path(sys.executable).parent / "ansible-playbook")
        return subprocess.Popen(
            [command, "-i", self.path, f"ansible/{playbook}.yml", *options],
            cwd=paths.ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def play(self, playbook: str, *options: str, fails: bool = False) -> str:
        """Run a playbook by hand; what it said."""
        with self.start(playbook, *options) as playing:
            said, _ = playing.communicate(timeout=600)
        assert (playing.returncode != 0) == fails, said
        return said

    @contextlib.contextmanager
    def measuring(self) -> Iterator[None]:
        """Quotas, so that the machines do not take each other's time while they are measured."""
        for node, container in self.containers.items():
            podman.call("update", f"--cpus={CPUS[node]}", container)
        try:
            yield
        finally:
            cores = capacity.this_host().cores
            for container in self.containers.values():
                podman.call("update", f"--cpus={cores}", container)

    def stop(self, node: str) -> None:
        """Cut a machine's power."""
        podman.call("kill", self.containers[node])

    def restart(self, node: str) -> None:
        """Put its power on, and wait until it lets people in."""
        podman.call("start", self.containers[node])
        _wait_for_sshd(self.containers[node])


@contextlib.contextmanager
def made(folder: Path) -> Iterator[Lab]:
    """Two such machines and their inventory in `folder`; gone at the end."""
    management = free_prefix()
    bed = free_prefix([management])
    mark = f"foreign-{bed.replace('.', '-')}"
    networks = {f"{mark}-m": management, f"{mark}-b": bed}
    containers = {node: f"{mark}-{node}" for node in CPUS}
    addresses = {
        "camera": {f"{mark}-m": f"{management}.11", f"{mark}-b": f"{bed}.11"},
        "cloud": {f"{mark}-b": f"{bed}.12"},
    }
    controller = keys.generate()
    known_hosts = []
    base_image.ensure(print)
    try:
        for name, prefix in networks.items():
            # The controller reaches them at the gateway's address, which is its own.
            where = (f"--subnet={prefix}.0/24", f"--gateway={prefix}.1")
            podman.call("network", "create", "--internal", "--disable-dns", *where, name)
        for node, container in containers.items():
            host = keys.generate()
            _make(node, container, addresses[node], host, controller.public)
            reached = next(iter(addresses[node].values()))
            known_hosts.append(f"{reached} {host.public.decode()}\n")
        _hand_over(containers)
        path = _inventory(folder, controller, "".join(known_hosts), management, bed)
        yield Lab(path, containers, networks)
    finally:
        podman.call("rm", "--force", "--time=0", "--ignore", *containers.values())
        for name in networks:
            podman.attempt("network", "rm", "--force", name)


def _make(
    node: str,
    container: str,
    addresses: Mapping[str, str],
    host: keys.KeyPair,
    controller_public: bytes,
) -> None:
    cores = capacity.this_host().cores
    _create(
        *(f"--name={container}", f"--hostname={node}", f"--cpus={cores}"),
        *("--systemd=always", "--cap-add=NET_ADMIN,SYS_ADMIN", "--pids-limit=8192"),
        networks=addresses,
        command="/sbin/init",
    )
    content = seed.archive(
        {
            "etc/hosts": (f"127.0.0.1 localhost {node}\n".encode(), 0o644),
            "etc/hostname": (f"{node}\n".encode(), 0o644),
            "etc/ssh/ssh_host_ed25519_key": (host.private, 0o600),
            "etc/ssh/ssh_host_ed25519_key.pub": (host.public + b"\n", 0o644),
        }
    )
    podman.call("cp", "-", f"{container}:/", stdin=content)
    podman.call("start", container)
    _wait_for_sshd(container)
    # After the start: systemd has a file system of its own there.
    authorized = seed.archive({"authorized_keys": (controller_public + b"\n", 0o600)})
    podman.call("exec", "-i", container, "tar", "-x", "-C", "/tmp", stdin=authorized)


def _create(*options: str, networks: Mapping[str, str], command: str) -> None:
    """A machine of the nodes' base image, that reaches these networks and no more."""
    congestion.allow(["cubic"])
    podman.call(
        *("create", "--no-hosts", "--dns=none", "--memory=8g", *podman.LIMITS, *options),
        f"--sysctl={congestion.SETTING}=cubic",  # as a Debian that is no container has it
        *(
            f"--network={network}:ip={address},interface_name=eth{number}"
            for number, (network, address) in enumerate(networks.items())
        ),
        base_image.tag(paths.ROOT / "roles"),
        *command.split(),
    )


@contextlib.contextmanager
def controller(lab: Lab, bundle: Path) -> Iterator[Callable[[str], str]]:
    """Runs commands on a third machine: a plain Debian in the lab, which reaches nothing outside.

    It has the unpacked bundle, the lab's inventory as /root/lab, and what logs in there.
    """
    files = Path(lab.path).parent
    name = f"{lab.containers['cloud']}-controller"
    reached = {network: f"{prefix}.13" for network, prefix in lab.networks.items()}

    def run(command: str) -> str:
        script = f"set -eu\nexec 2>&1\ncd /root/streambed-bundle/streambed\n{command}"
        words = ("exec", f"--env=ANSIBLE_BECOME_PASSWORD_FILE={files / 'password'}")
        cache = "--env=STREAMBED_CACHE=/root/streambed-bundle/cache"
        done = podman.attempt(*words, cache, name, "sh", "-c", script)
        said = done.stdout.decode()
        assert done.returncode == 0, said
        return said

    try:
        _create(
            f"--name={name}",
            *(f"--volume={files}:{files}:ro", f"--volume={bundle}:/srv/bundle.tar:ro"),
            networks=reached,
            command="sleep infinity",
        )
        podman.call("start", name)
        clone = "/root/streambed-bundle/streambed"
        podman.call("exec", name, "tar", "-x", "-f", "/srv/bundle.tar", "-C", "/root")
        podman.call("exec", name, "mkdir", "/root/lab")
        podman.call("exec", name, "cp", f"{lab.path}/hosts.yml", "/root/lab/")
        podman.call("exec", name, "ln", "-s", f"{clone}/inventory/lab/group_vars", "/root/lab/")
        yield run
    finally:
        podman.call("rm", "--force", "--time=0", "--ignore", name)


def _wait_for_sshd(container: str) -> None:
    active = ("exec", container, "systemctl", "is-active", "--quiet", "ssh")
    until(lambda: podman.attempt(*active).returncode == 0, f"sshd of {container}")


def _hand_over(containers: Mapping[str, str]) -> None:
    rights = {"camera": "ALL", "cloud": "NOPASSWD: ALL"}
    for node, container in containers.items():
        script = _HAND_OVER.encode()
        podman.call("exec", "-i", container, "sh", "-s", "--", rights[node], stdin=script)


def _inventory(
    folder: Path, controller: keys.KeyPair, known_hosts: str, management: str, bed: str
) -> str:
    folder.mkdir()
    # Beside the inventory: Ansible reads every file in it.
    key, known = folder.with_name("key"), folder.with_name("known_hosts")
    key.touch(0o600)
    key.write_bytes(controller.private)
    key.with_suffix(".pub").write_bytes(controller.public + b"\n")
    known.write_text(known_hosts)
    cloud = {"hosts": {"cloud": None}}
    hosts = {
        "all": {
            "vars": {
                "bed_name": "foreign",
                "ansible_user": "lab",
                "ansible_ssh_private_key_file": str(key),
                # The common arguments are those of the lab's group variables.
                "ansible_ssh_extra_args": f"-o UserKnownHostsFile={known} "
                "-o GlobalKnownHostsFile=/dev/null -o IdentitiesOnly=yes",
            },
            "hosts": {
                "camera": {
                    "ansible_host": f"{management}.11",
                    "bed_address": f"{bed}.11",
                },
                "cloud": {"ansible_host": f"{bed}.12"},
            },
            "children": {
                "clients": {"hosts": {"camera": None}},
                "kafka_standby": {"hosts": {"camera": None}},
                "kafka_brokers": dict(cloud),
                "spark_master": dict(cloud),
                "spark_workers": dict(cloud),
            },
        }
    }
    (folder / "hosts.yml").write_text(yaml.safe_dump(hosts))
    (folder / "group_vars").symlink_to(paths.ROOT / "inventory" / "lab" / "group_vars")
    return str(folder)
