"""Nodes as containers: systemd and sshd inside, on a network of their own."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from streambed import paths
from streambed.beds import (
    baked_image,
    capacity,
    congestion,
    disks,
    keys,
    network,
    podman,
    readiness,
    seed,
)
from streambed.beds.names import (
    LABEL_ID,
    LABEL_MAKER,
    LABEL_SPEC,
    BedNames,
    check_name,
    names_of,
)
from streambed.beds.provider import NodeCondition, NodeState
from streambed.errors import StreambedError
from streambed.inventory import Inventory, Node

# SYS_ADMIN: without it systemd starts units with their sandbox silently left out.
_CAPABILITIES = "NET_ADMIN,SYS_ADMIN"

# Started only when complete, so that a container which never was may lack its files.
_NEVER_STARTED = ("created", "configured", "initialized")


def create_arguments(node: Node, names: BedNames) -> list[str]:
    """The arguments of `podman create` for a node, without its image.

    Also the node's specification: a container made from other arguments is made again.
    """
    return [
        f"--name={names.container(node.name)}",
        f"--hostname={node.name}",
        f"--network={names.network}",
        f"--ip={node.address}",
        # Both files are the node's own: podman's would be bind mounts, which cannot be replaced.
        "--no-hosts",
        "--dns=none",
        "--systemd=always",
        f"--cap-add={_CAPABILITIES}",
        f"--cpus={node.cpus:g}",
        f"--memory={node.memory_bytes}",
        f"--memory-swap={node.memory_bytes}",
        "--pids-limit=8192",
        # Otherwise the one of whatever host this is.
        f"--sysctl={congestion.SETTING}={node.tcp_congestion_control}",
        *podman.LIMITS,
        *disks.arguments(node, names),
        "--log-opt=max-size=1mb",
        *(f"--label={key}={value}" for key, value in names.labels().items()),
    ]


def spec_hash(arguments: Sequence[str]) -> str:
    """Twelve hex digits of what a container was asked to be."""
    return hashlib.sha256("\0".join(arguments).encode()).hexdigest()[:12]


class PodmanProvider:
    """Containers under rootful podman, from the baked image.

    Args:
        inventory: the bed.
        say: told what happens, one line each.
    """

    name = "podman"

    def __init__(self, inventory: Inventory, *, say: Callable[[str], None]) -> None:
        self._inventory = inventory
        self._say = say
        self._names = names_of(inventory.name)

    def check(self) -> None:
        for node in self._inventory.nodes:
            check_name("node", node.name)
            if node.user != "root":
                raise StreambedError(
                    f"node {node.name}: containers are reached as root, not {node.user!r}",
                    hint="remove ansible_user from the inventory",
                )
        capacity.check(self._inventory.nodes, capacity.this_host())
        subnet = network.parse_subnet(self._inventory.subnet)
        network.check_addresses(self._inventory.nodes, subnet)
        podman.require()
        if not network.exists(self._names, subnet):
            network.check_free(subnet, network.held_subnets(self._names))

    def containers(self, maker: str | None = None) -> set[str]:
        """The nodes that have a container, of this maker only when one is named."""
        return {
            node
            for node, container in self._containers().items()
            if maker in (None, _maker(container))
        }

    def create(self) -> None:
        self.check()
        subnet = network.parse_subnet(self._inventory.subnet)
        conditions = self._containers()
        if "vagrant" in map(_maker, conditions.values()):
            raise StreambedError(
                f"bed {self._inventory.name} has nodes that vagrant made",
                hint="vagrant destroy -f, or ./streambed down",
            )
        wanted = [node for node in self._inventory.nodes if self._must_make(node, conditions)]
        if wanted:
            readiness.check(image_is_there=baked_image.name_if_there() is not None)
        image = baked_image.ensure(self._say) if wanted else ""
        bed_keys = keys.ensure(
            paths.state_dir(self._inventory.name),
            self._inventory.name,
            self._inventory.nodes,
        )
        network.ensure(self._names, subnet)
        congestion.allow(node.tcp_congestion_control for node in self._inventory.nodes)
        self._remove_strangers(conditions)

        def bring_up(node: Node) -> None:
            if node in wanted:
                self._make(node, image, bed_keys, replace=node.name in conditions)
            elif conditions[node.name]["State"] == "paused":
                podman.call("unpause", self._names.container(node.name))
            podman.call("start", self._names.container(node.name))

        _in_parallel(bring_up, self._inventory.nodes)

    def _must_make(self, node: Node, containers: dict[str, Any]) -> bool:
        container = containers.get(node.name)
        if container is None:
            return True
        if container["State"] in _NEVER_STARTED:
            self._say(f"{node.name}: half made by an earlier `up`, made again")
            return True
        spec = spec_hash(create_arguments(node, self._names))
        if container["Labels"].get(LABEL_SPEC) == spec:
            return False
        self._say(f"{node.name}: the inventory asks for another container, made again")
        return True

    def _remove_strangers(self, containers: dict[str, Any]) -> None:
        known = {node.name for node in self._inventory.nodes}
        for name in sorted(containers.keys() - known):
            self._say(f"{name}: no longer in the inventory, removed")
            podman.call("rm", "--force", "--time=0", self._names.container(name))

    def _make(self, node: Node, image: str, bed_keys: keys.BedKeys, *, replace: bool) -> None:
        container = self._names.container(node.name)
        if replace:
            podman.call("rm", "--force", "--time=0", container)
        arguments = create_arguments(node, self._names)
        label = f"--label={LABEL_SPEC}={spec_hash(arguments)}"
        disks.make(node, self._names)
        podman.call("create", *arguments, label, image, "/sbin/init")
        archive = seed.render(
            node,
            self._inventory.nodes,
            bed_keys.hosts[node.name],
            bed_keys.controller.public,
        )
        podman.call("cp", "-", f"{container}:/", stdin=archive)

    @contextmanager
    def unhurried(self) -> Iterator[None]:
        cores = float(capacity.this_host().cores)
        self._give_cpus(lambda _: cores)
        try:
            yield
        finally:
            self._give_cpus(lambda node: node.cpus or cores)

    def _give_cpus(self, quota: Callable[[Node], float]) -> None:
        def give(node: Node) -> None:
            podman.call("update", f"--cpus={quota(node):g}", self._names.container(node.name))

        _in_parallel(give, self._inventory.nodes)

    def start(self, *nodes: str) -> None:
        _in_parallel(
            lambda node: podman.call("start", self._names.container(node.name)),
            [self._inventory.node(name) for name in nodes],
        )

    def stop(self, *nodes: str) -> None:
        _in_parallel(
            lambda node: podman.call("stop", "--time=20", self._names.container(node.name)),
            [self._inventory.node(name) for name in nodes],
        )

    def freeze(self, node: str) -> None:
        """Stop the node's time: every process of it stands still."""
        podman.call("pause", self._names.container(node))

    def thaw(self, node: str) -> None:
        """Let a frozen node go on."""
        podman.call("unpause", self._names.container(node))

    def destroy(self) -> bool:
        # Again until nothing is left: a podman call that outlived its killed `up` may still
        # be adding a container.
        found = False
        while containers := self._container_names():
            found = True
            podman.call("rm", "--force", "--time=0", *containers)
        found = disks.remove(self._names) or found
        return network.remove(self._names) or found

    def exists(self) -> bool:
        return (
            bool(self._container_names())
            or podman.attempt("network", "exists", self._names.network).returncode == 0
        )

    def states(self) -> tuple[NodeState, ...]:
        containers = self._containers()
        return tuple(self._state(node, containers.get(node.name)) for node in self._inventory.nodes)

    def _state(self, node: Node, container: dict[str, Any] | None) -> NodeState:
        if container is None:
            return NodeState(node.name, node.address, "missing")
        told = container["State"]
        condition: NodeCondition = told if told in ("running", "paused") else "stopped"
        return NodeState(node.name, node.address, condition, image=container["Image"])

    def facts(self) -> dict[str, object]:
        info = json.loads(podman.call("info", "--format=json"))
        return {
            "provider": self.name,
            "podman": info["version"]["Version"],
            "runtime": info["host"]["ociRuntime"]["version"].splitlines()[0],
            "storage_driver": info["store"]["graphDriverName"],
            "cgroup_version": info["host"]["cgroupVersion"],
            "images": sorted({state.image for state in self.states()}),
        }

    def _containers(self) -> dict[str, Any]:
        """The bed's containers by node."""
        rows = podman.call_json(
            "ps",
            "--all",
            f"--filter=label={LABEL_ID}={self._names.id}",
            "--format=json",
        )
        start = len(self._names.container(""))
        return {row["Names"][0][start:]: row for row in rows}

    def _container_names(self) -> list[str]:
        return [self._names.container(node) for node in self._containers()]


def _maker(container: dict[str, Any]) -> str:
    return str(container["Labels"].get(LABEL_MAKER, PodmanProvider.name))


def _in_parallel(work: Callable[[Node], object], nodes: Sequence[Node]) -> None:
    """Do it for all nodes at once; the first failure is raised when all have ended."""
    with ThreadPoolExecutor(max_workers=max(1, len(nodes))) as pool:
        for future in [pool.submit(work, node) for node in nodes]:
            future.result()
