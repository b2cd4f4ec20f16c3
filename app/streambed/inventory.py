"""The inventory, read through Ansible itself: the only list of nodes there is."""

import functools
import math
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from streambed import paths
from streambed.errors import StreambedError
from streambed.quantities import parse_size


@dataclass(frozen=True)
class Node:
    """One host of a bed, with what is needed to reach it and to place work on it."""

    name: str
    address: str
    """Where SSH reaches it (`ansible_host`)."""
    bed_address: str
    """What its services bind to (`bed_address`, by default the same)."""
    groups: frozenset[str]
    cpus: float | None
    """CPU quota in cores; None on machines that have no quota."""
    memory_bytes: int | None
    user: str
    port: int
    key_file: Path | None
    known_hosts: Path | None
    proxy_jump: str | None
    variables: Mapping[str, Any]


@dataclass(frozen=True)
class Inventory:
    """A bed as its inventory describes it."""

    name: str
    path: Path
    provider: str
    subnet: str | None
    nodes: tuple[Node, ...]

    def group(self, name: str) -> tuple[Node, ...]:
        """The nodes of a group, in the inventory's order; empty when there are none."""
        return tuple(node for node in self.nodes if name in node.groups)

    def node(self, name: str) -> Node:
        """One node by name.

        Raises:
            StreambedError: no such node; the message lists those there are.
        """
        for node in self.nodes:
            if node.name == name:
                return node
        raise StreambedError(
            f"{self.path}: no node {name!r}; nodes are {', '.join(n.name for n in self.nodes)}"
        )


def resolve(path: str | Path) -> Path:
    """The inventory's directory or file, given as typed (relative to here or to the clone).

    Raises:
        StreambedError: there is none; the message lists those the clone has.
    """
    for candidate in (Path(path), paths.ROOT / path, paths.ROOT / "inventory" / path):
        if candidate.exists():
            return candidate.resolve()
    known = sorted(f"inventory/{p.parent.name}" for p in paths.ROOT.glob("inventory/*/hosts.yml"))
    raise StreambedError(f"no inventory {str(path)!r}; the clone has {', '.join(known)}")


@functools.cache
def _find_plugins() -> None:
    """Once per process: Ansible warns when told twice."""
    from ansible.plugins.loader import init_plugin_loader

    init_plugin_loader()


@functools.cache
def _load(path: Path) -> Inventory:
    # Ansible takes most of a second to import: only commands that need nodes pay for it.
    from ansible.errors import AnsibleError
    from ansible.inventory.manager import InventoryManager
    from ansible.parsing.dataloader import DataLoader
    from ansible.template import Templar
    from ansible.vars.manager import VariableManager

    # Inventories may lie anywhere; what they say of keys is relative to this clone.
    os.environ["STREAMBED_ROOT"] = str(paths.ROOT)
    _find_plugins()
    loader = DataLoader()
    try:
        manager = InventoryManager(loader=loader, sources=[str(path)])
        hosts = manager.get_hosts()
        if not hosts:
            raise StreambedError(f"{path}: no node in this inventory")
        variable_manager = VariableManager(loader=loader, inventory=manager)
        nodes = []
        bed_vars: Mapping[str, Any] = {}
        for host in hosts:
            raw = variable_manager.get_vars(host=host, include_hostvars=False)
            templar = Templar(loader=loader, variables=raw)
            bed_vars = {key: templar.template(value) for key, value in raw.items()}
            nodes.append(_node(host.name, frozenset(g.name for g in host.get_groups()), bed_vars))
    except AnsibleError as error:
        raise StreambedError(f"{path}: {error.message}") from error
    except _BadVariable as error:
        raise StreambedError(f"{path}: {error}") from None
    name = bed_vars.get("bed_name")
    if not isinstance(name, str):
        raise StreambedError(f"{path}: `bed_name` is not set for all nodes")
    _refuse_twins(path, nodes)
    return Inventory(
        name=name,
        path=path,
        provider=str(bed_vars.get("bed_provider", "static")),
        subnet=bed_vars.get("bed_subnet"),
        nodes=tuple(nodes),
    )


def _refuse_twins(path: Path, nodes: list[Node]) -> None:
    seen: dict[str, str] = {}
    for node in nodes:
        if node.address in seen:
            raise StreambedError(
                f"{path}: {seen[node.address]} and {node.name} have one address, {node.address}"
            )
        seen[node.address] = node.name


class _BadVariable(Exception):
    """A variable of a node that is not what it has to be, in words."""


_N = TypeVar("_N", int, float)


def _number(node: str, variables: Mapping[str, Any], key: str, kind: type[_N]) -> _N | None:
    """A number that is greater than zero; None when the node has no such variable."""
    if key not in variables:
        return None
    given = variables[key]
    try:
        number = kind(given)
    except (TypeError, ValueError):
        number = kind(0)
    if isinstance(given, bool) or not (number > 0 and math.isfinite(number)):
        words = "a whole number" if kind is int else "a number"
        raise _BadVariable(f"node {node}: `{key}` is {given!r}; allowed is {words} above 0")
    return number


def _size(node: str, variables: Mapping[str, Any], key: str) -> int | None:
    if key not in variables:
        return None
    try:
        return parse_size(variables[key])
    except StreambedError as error:
        raise _BadVariable(f"node {node}: `{key}`: {error.message}") from None


def _node(name: str, groups: frozenset[str], variables: Mapping[str, Any]) -> Node:
    key_file = variables.get("ansible_ssh_private_key_file")
    address = str(variables.get("ansible_host", name))
    return Node(
        name=name,
        address=address,
        bed_address=str(variables.get("bed_address", address)),
        groups=groups - {"all", "ungrouped"},
        cpus=_number(name, variables, "cpus", float),
        memory_bytes=_size(name, variables, "memory"),
        user=str(variables.get("ansible_user", "root")),
        port=_number(name, variables, "ansible_port", int) or 22,
        key_file=Path(key_file).resolve() if key_file else None,
        known_hosts=_ssh_option(variables, "UserKnownHostsFile"),
        proxy_jump=_proxy_jump(variables),
        variables=variables,
    )


def _ssh_arguments(variables: Mapping[str, Any]) -> list[str]:
    names = ("ansible_ssh_common_args", "ansible_ssh_extra_args")
    return [word for name in names for word in shlex.split(str(variables.get(name) or ""))]


def _ssh_option(variables: Mapping[str, Any], option: str) -> Path | None:
    for word in _ssh_arguments(variables):
        key, _, value = word.removeprefix("-o").partition("=")
        if key.lower() == option.lower():
            return Path(value).expanduser().resolve()
    return None


def _proxy_jump(variables: Mapping[str, Any]) -> str | None:
    words = _ssh_arguments(variables)
    for index, word in enumerate(words):
        if word == "-J" and index + 1 < len(words):
            return words[index + 1]
        key, _, value = word.removeprefix("-o").partition("=")
        if key.lower() == "proxyjump":
            return value
    return None


def load(path: str | Path) -> Inventory:
    """Read an inventory.

    Args:
        path: a directory with `hosts.yml`, or a file; relative to here or to the clone.

    Raises:
        StreambedError: it is not there, not readable, empty, or two nodes share an address.
    """
    return _load(resolve(path))
