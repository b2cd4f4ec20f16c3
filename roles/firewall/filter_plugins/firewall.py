"""Jinja filters that render a node's rules; pure, so that they are tested without one."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

Groups = Mapping[str, Iterable[str]]


def matches(where: str, addresses: Iterable[str]) -> Iterator[str]:
    """nft's matches for addresses or networks, one of each family; `where` is saddr or daddr."""
    found: dict[str, set[str]] = {"ip": set(), "ip6": set()}
    for address in addresses:
        try:
            network = ipaddress.ip_network(str(address).partition("%")[0], strict=False)
        except ValueError:
            raise AnsibleFilterError(
                f"{address!r} is no address; allowed is one, or a network as in 192.0.2.0/24"
            ) from None
        text = str(network.network_address) if network.num_addresses == 1 else str(network)
        found["ip" if network.version == 4 else "ip6"].add(text)
    for family, texts in found.items():
        if texts:
            yield f"{family} {where} {{ {', '.join(sorted(texts))} }}"


def ssh_rules(management: Sequence[str], port: int) -> dict[str, list[str]]:
    """Rules that keep the way in open; refuses to render a node that nobody could reach."""
    if not management:
        raise AnsibleFilterError(
            "no address may come by SSH: name them in `firewall_management`, "
            "or let preflight see where you come from"
        )
    return {
        "input": [f"{m} tcp dport {int(port)} accept" for m in matches("saddr", management)],
        # Sessions that are older than the table.
        "output": [f"{m} tcp sport {int(port)} accept" for m in matches("daddr", management)],
    }


def members(flow: Mapping[str, Any], side: str, groups: Groups) -> set[str]:
    """The nodes on a side of a flow."""
    return {name for group in flow[side] for name in groups.get(group, ())}


def port_match(flow: Mapping[str, Any]) -> str:
    """nft's match for a flow's ports."""
    return f"tcp dport {{ {', '.join(str(port) for port in flow['ports'])} }}"


def flow_rules(
    flows: Iterable[Mapping[str, Any]], node: str, groups: Groups, addresses: Mapping[str, str]
) -> dict[str, list[str]]:
    """The rules of one node, by direction; what a node says to itself needs none.

    Args:
        flows: `what`, `from`, `to`, `ports`, `switched`, `shared`, see the role's arguments.
        node: its name.
        groups: the inventory's groups; one that it has not got is empty.
        addresses: node → address on the bed.
    """
    rules: dict[str, list[str]] = {"input": [], "output": []}
    for flow in flows:
        sides = {side: members(flow, side, groups) for side in ("from", "to")}
        ports = port_match(flow)
        switched = " tcp dport @switched" if flow.get("switched") else ""
        for own, other, direction, where in (
            ("to", "from", "input", "saddr"),
            ("from", "to", "output", "daddr"),
        ):
            if node in sides[own]:
                peers = [addresses[name] for name in sides[other] - {node}]
                gate = switched if direction == "input" else ""
                rules[direction] += [
                    f'{match} {ports}{gate} accept comment "{flow["what"]}"'
                    for match in matches(where, peers)
                ]
    return rules


def closing_rules(
    flows: Iterable[Mapping[str, Any]], node: str, groups: Groups, addresses: Mapping[str, str]
) -> dict[str, list[str]]:
    """What ends a chain that lets others' traffic be: the bed's own ports are closed to the rest.

    Arguments and result are those of `flow_rules`.
    """
    closed: dict[str, dict[str, None]] = {"input": {}, "output": {}}
    refuse = "counter reject with icmpx type admin-prohibited"
    for flow in flows:
        if flow.get("shared"):
            continue
        servers = members(flow, "to", groups)
        if node in servers:
            for match in matches("daddr", [addresses[node]]):
                closed["input"][f"{match} {port_match(flow)} counter drop"] = None
        for match in matches("daddr", [addresses[name] for name in servers - {node}]):
            closed["output"][f"{match} {port_match(flow)} {refuse}"] = None
    return {direction: list(rules) for direction, rules in closed.items()}


class FilterModule:
    """What Ansible looks for in this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "firewall_closing": closing_rules,
            "firewall_flows": flow_rules,
            "firewall_matches": lambda addresses, where: list(matches(where, addresses)),
            "firewall_ssh": ssh_rules,
        }
