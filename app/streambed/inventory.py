"""The inventory, read through Ansible itself: the only list of nodes there is."""

import functools
import itertools
import math
import os
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
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
    variables: Mapping[str, Any] = field(hash=False)
    proxy_command: str | None = None
    """As ssh takes it, with %h, %p and %r still in it."""
    tcp_congestion_control: str = "cubic"
    """The kernel's name of it (`bed_tcp_congestion_control`)."""


@dataclass(frozen=True)
class Inventory:
    """A bed as its inventory describes it."""

    name: str
    path: Path
    provider: str
    """What makes its nodes: `bed_provider`, or who made them when that was somebody else."""
    subnet: str | None
    nodes: tuple[Node, ...]

    @property
    def in_containers(self) -> bool:
        """Are its nodes containers of this machine, whose cores and memory they share?"""
        return self.provider in ("podman", "vagrant-docker")

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
def _vault_secrets() -> list[Any]:
    """What opens a vault, as Ansible is told of it; once per process: its context is made once."""
    from ansible import constants  # type: ignore[attr-defined]

    if not (constants.DEFAULT_VAULT_PASSWORD_FILE or constants.DEFAULT_VAULT_IDENTITY_LIST):
        return []
    # Only here: what it imports wants a terminal that blocks.
    from ansible.cli import CLI
    from ansible.parsing.dataloader import DataLoader

    secrets: list[Any] = CLI.setup_vault_secrets(
        DataLoader(), constants.DEFAULT_VAULT_IDENTITY_LIST, auto_prompt=False
    )
    return secrets


def _vault_hint(message: str) -> str:
    if "vault" not in message.lower():
        return ""
    return "ANSIBLE_VAULT_PASSWORD_FILE names the file with the vault's password"


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
    # Not the working directory: what lies beside the playbooks is for plays.
    loader.set_basedir(str(paths.ROOT))
    try:
        loader.set_vault_secrets(_vault_secrets())
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
            _refuse_secrets_within(path, bed_vars)
            nodes.append(_node(host.name, frozenset(g.name for g in host.get_groups()), bed_vars))
    except AnsibleError as error:
        raise StreambedError(f"{path}: {error.message}", hint=_vault_hint(error.message)) from error
    except _BadVariable as error:
        raise StreambedError(f"{path}: {error}") from None
    name = bed_vars.get("bed_name")
    if not isinstance(name, str):
        raise StreambedError(f"{path}: `bed_name` is not set for all nodes")
    _refuse_twins(path, nodes, lambda node: node.address)
    _refuse_twins(path, nodes, lambda node: node.bed_address)
    provider = _made_by(name) or str(bed_vars.get("bed_provider", "static"))
    if provider in _WHOLE_MACHINES:
        # cpus and memory said how large they are made; no control group holds them to it.
        nodes = [replace(node, cpus=None, memory_bytes=None) for node in nodes]
    return Inventory(
        name=name,
        path=path,
        provider=provider,
        subnet=bed_vars.get("bed_subnet"),
        nodes=tuple(nodes),
    )


_WHOLE_MACHINES = ("vagrant-libvirt", "vagrant-virtualbox")


def maker_file(bed_name: str) -> Path:
    """Where it is noted who made a bed's nodes, when it was not what its inventory says."""
    return paths.ROOT / ".streambed" / bed_name / "maker"


def _made_by(bed_name: str) -> str | None:
    try:
        return maker_file(bed_name).read_text().strip() or None
    except OSError:
        return None


def _refuse_secrets_within(path: Path, variables: Mapping[str, Any]) -> None:
    """Ansible reads every file below an inventory: a password there becomes the name of a node."""
    given = variables.get("bed_secrets_dir")
    if not given:
        return
    folder = path if path.is_dir() else path.parent
    within = os.path.relpath(Path(given).resolve(), folder)
    # Neither `..` nor a hidden directory, which Ansible leaves out.
    if not re.match(r"\..", within):
        raise StreambedError(
            f"{folder}: `bed_secrets_dir` is {given}, below the inventory: Ansible would take each "
            "line of its files for a node",
            hint='outside is allowed: bed_secrets_dir: "{{ inventory_dir }}/../../secrets/lab"',
        )


def _refuse_twins(path: Path, nodes: list[Node], address_of: Callable[[Node], str]) -> None:
    seen: dict[str, str] = {}
    for node in nodes:
        address = address_of(node)
        if address in seen:
            raise StreambedError(
                f"{path}: {seen[address]} and {node.name} have one address, {address}"
            )
        seen[address] = node.name


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


def _congestion_control(node: str, variables: Mapping[str, Any]) -> str:
    given = variables.get("bed_tcp_congestion_control", Node.tcp_congestion_control)
    if not (isinstance(given, str) and re.fullmatch(r"[a-z0-9_-]{1,15}", given)):
        raise _BadVariable(
            f"node {node}: `bed_tcp_congestion_control` is {given!r}; allowed is the kernel's name "
            "of one, as cubic, reno or bbr"
        )
    return given


def _node(name: str, groups: frozenset[str], variables: Mapping[str, Any]) -> Node:
    key_file = variables.get("ansible_ssh_private_key_file")
    given_hosts = _ssh_option(variables, "UserKnownHostsFile")
    known_hosts = Path(given_hosts) if given_hosts else None
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
        key_file=Path(key_file).expanduser().resolve() if key_file else None,
        known_hosts=known_hosts.expanduser().resolve() if known_hosts else None,
        proxy_jump=_proxy_jump(variables),
        proxy_command=_ssh_option(variables, "ProxyCommand"),
        tcp_congestion_control=_congestion_control(name, variables),
        variables=variables,
    )


def _ssh_arguments(variables: Mapping[str, Any]) -> list[str]:
    names = ("ansible_ssh_common_args", "ansible_ssh_extra_args")
    return [word for name in names for word in shlex.split(str(variables.get(name) or ""))]


def _ssh_option(variables: Mapping[str, Any], option: str) -> str | None:
    """The value of `-o OPTION=VALUE`; the first one counts, as with ssh."""
    for word in _ssh_arguments(variables):
        key, _, value = word.removeprefix("-o").partition("=")
        if key.lower() == option.lower():
            return value
    return None


def _proxy_jump(variables: Mapping[str, Any]) -> str | None:
    words = _ssh_arguments(variables)
    for word, following in itertools.pairwise(words):
        if word == "-J":
            return following
    return _ssh_option(variables, "ProxyJump")


def load(path: str | Path) -> Inventory:
    """Read an inventory.

    Args:
        path: a directory with `hosts.yml`, or a file; relative to here or to the clone.

    Raises:
        StreambedError: it is not there, not readable, empty, or two nodes share an address.
    """
    return _load(resolve(path))
