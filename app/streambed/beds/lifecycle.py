"""A bed's life: create, provision, verify, remove; safe to interrupt and to repeat."""

import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.table import Table

from streambed import artifacts, console, paths
from streambed.artifacts import engines as engine_artifacts
from streambed.beds import engines, locks, playbook, processes, ssh, state, verification
from streambed.beds.files import private_directory
from streambed.beds.names import names_of
from streambed.beds.provider import NodeState
from streambed.beds.providers import provider_of
from streambed.errors import StreambedError
from streambed.inventory import Inventory, maker_file
from streambed.quantities import format_duration

SITE = paths.ROOT / "ansible" / "site.yml"

OnStep = Callable[[str], None]


def up(bed: Inventory, *, on_step: OnStep = console.step) -> None:
    """Create, provision and verify a bed; goes on where an earlier call stopped.

    From the main thread only: the kernel ends our commands with the thread that started them.

    Raises:
        StreambedError: a stage failed; what is there stays for the next `up`, or for `down`.
    """
    started = time.monotonic()
    with alone(bed, "up"):
        _create(bed, on_step)
        # Ten JVMs on a third of a core each start no sooner than one that has it all. Killed in
        # here, the bed counts as created only, and nothing runs on it before the next `up`.
        with provider_of(bed, say=console.say).unhurried():
            _provision(bed, on_step)
        _verify(bed, on_step)
    took = format_duration(time.monotonic() - started)
    on_step(f"bed {bed.name} is up and verified ({took})")


def create(bed: Inventory, *, on_step: OnStep = console.step) -> None:
    """Create and start the nodes, and wait until each lets us in; no provisioning."""
    with alone(bed, "create"):
        _create(bed, on_step)


def provision(bed: Inventory, *, on_step: OnStep = console.step) -> int:
    """Converge the nodes of a bed that is there.

    Returns:
        How many results were changes: 0 when nothing was to be done.
    """
    with alone(bed, "provision"):
        _require_nodes(bed)
        ssh.wait_for_all(bed)
        return _provision(bed, on_step)


def verify(bed: Inventory, *, on_step: OnStep = console.step) -> None:
    """Check every node over SSH.

    Raises:
        StreambedError: names the checks that failed.
    """
    with alone(bed, "verify"):
        _require_nodes(bed)
        ssh.wait_for_all(bed, timeout_s=10)
        _verify(bed, on_step)


def down(bed: Inventory, *, on_step: OnStep = console.step) -> bool:
    """Remove a bed: its nodes, network, keys and whatever an interrupted command left.

    Returns:
        False when there was nothing to remove, which is said and is no error.
    """
    with alone(bed, "down"):
        found = provider_of(bed, say=console.say).destroy()
        forget(bed)
    on_step(f"bed {bed.name} is removed" if found else f"bed {bed.name} is not up: nothing to do")
    return found


def forget(bed: Inventory) -> None:
    """Remove what is known of a bed that is gone: keys, secrets, state; logs stay."""
    directory = paths.state_dir(bed.name)
    for part in ("ssh", "secrets", "vagrant"):
        shutil.rmtree(directory / part, ignore_errors=True)
    state.forget(directory)
    engines.forget(bed)
    maker_file(bed.name).unlink(missing_ok=True)


def status(bed: Inventory) -> tuple[NodeState, ...]:
    """Every node of the bed as its provider sees it; touches nothing."""
    return provider_of(bed, say=console.say).states()


def is_up(bed: Inventory) -> bool:
    """Are all nodes running with what is wanted, and was the bed verified since it was created?

    Cheap (well below a second), for a command that needs a bed.
    """
    known = state.read(paths.state_dir(bed.name))
    if known.get("stage") != "verified" or known.get("engines", []) != list(engines.wanted(bed)):
        return False
    return all(node.condition == "running" for node in status(bed))


def show_status(bed: Inventory, *, as_json: bool = False) -> None:
    """Print each node, and how far the bed is."""
    nodes = status(bed)
    missing = all(node.condition == "missing" for node in nodes)
    stage = (
        "down" if missing else str(state.read(paths.state_dir(bed.name)).get("stage", "created"))
    )
    if as_json:
        rows = [
            {"node": node.name, "address": node.address, "state": node.condition} for node in nodes
        ]
        console.out.print_json(json.dumps({"bed": bed.name, "stage": stage, "nodes": rows}))
        return
    table = Table(title=f"bed {bed.name}: {stage}", title_justify="left")
    for heading in ("node", "address", "state", "cpus", "memory", "groups"):
        table.add_column(heading)
    for node, spec in zip(nodes, bed.nodes, strict=True):
        memory = str(spec.variables.get("memory", "-"))
        cpus = "-" if spec.cpus is None else f"{spec.cpus:g}"
        groups = ", ".join(sorted(spec.groups))
        table.add_row(node.name, node.address, node.condition, cpus, memory, groups)
    console.out.print(table)
    if missing:
        console.say("./streambed up makes it")


def ssh_argv(bed: Inventory, node: str, command: Sequence[str] = ()) -> list[str]:
    """The ssh call that reaches a node, by the settings of the inventory.

    As with ssh itself, the words of `command` are joined and the node's shell reads them.

    Raises:
        StreambedError: the bed has no such node, or has no key because it is not up.
    """
    target = bed.node(node)
    if target.key_file is not None and not target.key_file.exists():
        raise StreambedError(f"bed {bed.name} is not up", hint=f"./streambed up -i {bed.path}")
    return [*ssh.argv(target, options=("-o", "ConnectTimeout=10")), *command]


@contextmanager
def alone(bed: Inventory, command: str) -> Iterator[None]:
    """Hold the bed, with what a killed predecessor left running ended first."""
    directory = paths.state_dir(bed.name)
    with locks.exclusive(directory / "lock", what=f"bed {bed.name}", command=command):
        processes.end_leftovers(names_of(bed.name).id)
        yield


def _require_nodes(bed: Inventory) -> None:
    absent = [node.name for node in status(bed) if node.condition != "running"]
    if absent:
        raise StreambedError(
            f"bed {bed.name} is not up: {', '.join(absent)} not running",
            hint=f"./streambed up -i {bed.path}",
        )


def _create(bed: Inventory, on_step: OnStep) -> None:
    provider = provider_of(bed, say=console.say)
    verb = "creating" if provider.name == "podman" else "reaching"
    on_step(f"{verb} {len(bed.nodes)} nodes of bed {bed.name} ({provider.name})")
    provider.create()
    ssh.wait_for_all(bed)
    state.record(
        paths.state_dir(bed.name), "created", provider=provider.name, inventory=str(bed.path)
    )


def _provision(bed: Inventory, on_step: OnStep) -> int:
    on_step(f"provisioning bed {bed.name}")
    # Roles fetch nothing themselves; with a full cache this touches no network.
    artifacts.ensure(thorough=False)
    extras = list(engines.wanted(bed))
    if extras:
        engine_artifacts.ensure(extras, thorough=False)
    account = playbook.run(
        SITE,
        bed.path,
        bed_id=names_of(bed.name).id,
        log=_log(bed, "provision"),
    )
    facts = {"changed": account.changed, "engines": extras}
    state.record(paths.state_dir(bed.name), "provisioned", **facts)
    return account.changed


def _verify(bed: Inventory, on_step: OnStep) -> None:
    on_step(f"verifying bed {bed.name}")
    verdict = verification.run(bed.path, bed_id=names_of(bed.name).id, log=_log(bed, "verify"))
    console.say(f"{verdict.passed} checks passed")
    state.record(paths.state_dir(bed.name), "verified", checks=verdict.passed)


def _log(bed: Inventory, name: str) -> Path:
    return private_directory(paths.state_dir(bed.name) / "log") / f"{name}.log"


if __name__ == "__main__":
    import sys

    from streambed import inventory

    globals()[sys.argv[1]](inventory.load(sys.argv[2]))
