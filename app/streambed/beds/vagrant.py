"""What the Vagrantfile asks: which machines there are, and what they need before and after.

It is asked through the command line, so that there is one reader of inventories. What a machine is
(its container's arguments, its keys and files) is what the container provider would make of it.
"""

import math
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

from streambed import console, paths
from streambed.beds import (
    baked_image,
    capacity,
    congestion,
    disks,
    keys,
    lifecycle,
    network,
    podman,
    readiness,
    seed,
    state,
)
from streambed.beds.files import private_directory, write_atomically
from streambed.beds.names import LABEL_MAKER, names_of
from streambed.beds.podman_provider import PodmanProvider, create_arguments
from streambed.beds.vagrant_provider import DEFAULT_BED, command
from streambed.errors import StreambedError
from streambed.inventory import Inventory, Node, maker_file
from streambed.quantities import parse_size

PROVIDERS = ("docker", "libvirt", "virtualbox")

# Vagrant starts a container in the moment it makes it, so that its files unpack themselves first;
# in place, since /etc/hostname is a mount then, which cannot be replaced.
_SEED = "/streambed-seed.tar"
_START = ("/bin/sh", "-c", f"tar --overwrite -xf {_SEED} -C / && exec /sbin/init")


def describe(bed: Inventory) -> dict[str, object]:
    """The bed as the Vagrantfile defines it, JSON-ready; touches nothing.

    Machines of another bed than `inventory/duo` carry its name: Vagrant keeps one list per clone.

    Raises:
        StreambedError: the machines are there already (static), or a size is missing.
    """
    if bed.provider == "static":
        raise StreambedError(
            f"{bed.path}: `bed_provider: static` means machines that are there already",
            hint=f"./streambed up -i {bed.path}",
        )
    return {
        "bed": bed.name,
        "image": baked_image.image_name(),
        "command": list(_START),
        "key": str(_directory(bed) / "ssh" / "id_ed25519"),
        "machines": [_machine(bed, _sized(node)) for node in bed.nodes],
    }


def _machine(bed: Inventory, node: Node) -> dict[str, object]:
    assert node.cpus is not None
    assert node.memory_bytes is not None
    names = names_of(bed.name)
    # Vagrant names the container itself.
    arguments = [word for word in create_arguments(node, names) if not word.startswith("--name=")]
    return {
        "name": node.name if bed.path == DEFAULT_BED else f"{bed.name}-{node.name}",
        "node": node.name,
        "address": node.address,
        "container": names.container(node.name),
        "arguments": [
            *arguments,
            f"--label={LABEL_MAKER}=vagrant",
            f"--volume={_seed_of(bed, node)}:{_SEED}:ro",
        ],
        "seed": str(_seed_of(bed, node)),
        "processors": math.ceil(node.cpus),
        "memory_mib": node.memory_bytes // 2**20,
    }


def prepare(
    bed: Inventory,
    provider: str,
    new: Collection[str],
    *,
    say: Callable[[str], None] = console.say,
    on_step: Callable[[str], None] = console.step,
) -> None:
    """Make all that machines need before Vagrant makes them: image, network, disks, keys, files.

    Args:
        bed: whose machines they are.
        provider: Vagrant's.
        new: nodes that Vagrant has not made yet.
        say: told what happens, one line each.
        on_step: told the stages.

    Raises:
        StreambedError: another provider has made the bed, or this host cannot hold it.
    """
    if provider not in PROVIDERS:
        raise StreambedError(
            f"vagrant provider {provider!r} is not known; known: {', '.join(PROVIDERS)}"
        )
    with lifecycle.alone(bed, "vagrant up"):
        on_step(f"preparing bed {bed.name} for vagrant ({provider})")
        _refuse_another_maker(bed, provider)
        sized = replace(bed, nodes=tuple(_sized(node) for node in bed.nodes))
        if provider == "docker":
            _prepare_containers(sized, new, say)
        else:
            # Virtual machines share processors, but not memory.
            cores = sum(math.ceil(node.cpus or 0) for node in sized.nodes)
            capacity.check(sized.nodes, replace(capacity.this_host(), cores=cores))
        made = keys.ensure(paths.state_dir(bed.name), bed.name, bed.nodes)
        private_directory(_directory(bed) / "vagrant")
        for node in bed.nodes:
            content = seed.render(node, bed.nodes, made.hosts[node.name], made.controller.public)
            write_atomically(_seed_of(bed, node), content)
        write_atomically(maker_file(bed.name), f"vagrant-{provider}\n")


def _refuse_another_maker(bed: Inventory, provider: str) -> None:
    if bed.provider not in ("podman", f"vagrant-{provider}"):
        raise StreambedError(
            f"bed {bed.name} was made by vagrant's provider "
            f"{bed.provider.removeprefix('vagrant-')}, not {provider}",
            hint=command(bed, "destroy -f"),
        )
    if bed.provider == "podman" and state.read(_directory(bed)).get("provider") == "podman":
        raise _made_by_streambed(bed)


def _made_by_streambed(bed: Inventory) -> StreambedError:
    return StreambedError(
        f"bed {bed.name} was made by ./streambed up", hint=f"./streambed down -i {bed.path}"
    )


def _prepare_containers(bed: Inventory, new: Collection[str], say: Callable[[str], None]) -> None:
    provider = PodmanProvider(bed, say=say)
    provider.check()
    if provider.containers("podman"):
        raise _made_by_streambed(bed)
    names = names_of(bed.name)
    _remove_forgotten(bed, provider.containers("vagrant") & set(new), say)
    if new:
        readiness.check(image_is_there=baked_image.name_if_there() is not None)
        baked_image.ensure(say)
    network.ensure(names, network.parse_subnet(bed.subnet))
    congestion.allow(node.tcp_congestion_control for node in bed.nodes)
    for node in bed.nodes:
        if node.name in new:
            disks.make(node, names)


def _remove_forgotten(bed: Inventory, nodes: Collection[str], say: Callable[[str], None]) -> None:
    for name in sorted(nodes):
        say(f"{name}: left by a vagrant that has forgotten it, removed")
        podman.call("rm", "--force", "--time=0", names_of(bed.name).container(name))


def release(bed: Inventory, *, on_step: Callable[[str], None] = console.step) -> None:
    """Remove what is left of a bed when Vagrant has destroyed its last machine.

    Raises:
        StreambedError: a container is still there.
    """
    if not bed.provider.startswith("vagrant-"):
        return
    with lifecycle.alone(bed, "vagrant destroy"):
        if bed.in_containers:
            provider = PodmanProvider(bed, say=console.say)
            # Vagrant knows of none any more, so that no `destroy` of its own would remove them.
            _remove_forgotten(bed, provider.containers("vagrant"), console.say)
            left = provider.containers()
            if left:
                raise StreambedError(
                    f"bed {bed.name}: {', '.join(sorted(left))} still there, of another maker",
                    hint=f"./streambed down -i {bed.path}",
                )
            disks.remove(names_of(bed.name))
            network.remove(names_of(bed.name))
        lifecycle.forget(bed)
    on_step(f"bed {bed.name} is removed")


def _sized(node: Node) -> Node:
    """The node with its sizes, which it has not while it is a whole machine."""
    cpus, memory = node.variables.get("cpus"), node.variables.get("memory")
    if cpus is None or memory is None:
        raise StreambedError(
            f"node {node.name}: a machine that is made needs `cpus` and `memory` in the inventory"
        )
    return replace(node, cpus=float(cpus), memory_bytes=parse_size(memory))


def _directory(bed: Inventory) -> Path:
    return maker_file(bed.name).parent


def _seed_of(bed: Inventory, node: Node) -> Path:
    return _directory(bed) / "vagrant" / f"{node.name}.tar"
