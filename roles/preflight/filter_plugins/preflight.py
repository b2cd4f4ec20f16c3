"""Jinja filters that judge what the probe saw; pure, so that they are tested without a node."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

GIB = 2**30
OUR_USERS = ("kafka", "spark", "streambed")


def refusals(observed: Mapping[str, Any], needs: Mapping[str, Any]) -> list[str]:
    """Why this node cannot be in the bed, one sentence per reason; empty when it can.

    `needs`: os, os_version, architecture, python, memory_bytes, disk_bytes, clock_tolerance_s;
    address, addresses of all hosts, and peers, those that it talks to; interface, where the
    inventory names one; ports of its services; own: what has our names, where somebody else may
    have it too (else None). Memory within 5 % of the need passes: a machine of 8 GB has a bit less.
    """
    if observed.get("python") is None:
        return [f"it has no python3 (apt install python3; {needs['python']} is needed)"]
    reasons = []
    system = observed["os"]
    if (system["id"], system["version"]) != (needs["os"], needs["os_version"]):
        reasons.append(
            f"it runs {system['id']} {system['version']}; "
            f"nodes run {needs['os']} {needs['os_version']}"
        )
    if observed["architecture"] != needs["architecture"]:
        reasons.append(
            f"it is a {observed['architecture']}; wheels are for {needs['architecture']}"
        )
    if not observed["python"].startswith(needs["python"] + "."):
        reasons.append(f"its Python is {observed['python']}; wheels are for {needs['python']}")
    if not observed["systemd"]:
        reasons.append("systemd does not run there; services are systemd units")
    if observed["memory_bytes"] < 0.95 * needs["memory_bytes"]:
        reasons.append(
            f"it has {observed['memory_bytes'] / GIB:.1f} GiB of memory; "
            f"its groups need {needs['memory_bytes'] / GIB:.1f} GiB"
        )
    for path, free in observed["disk_free_bytes"].items():
        if free < needs["disk_bytes"]:
            reasons.append(
                f"{free / GIB:.1f} GiB are free in {path}; {needs['disk_bytes'] / GIB:.1f} needed"
            )
    reasons += _network_refusals(observed, needs)
    offset_s = clock_offset_s(**observed["clock"], answered=observed["answered"])
    if abs(offset_s) > needs["clock_tolerance_s"]:
        reasons.append(
            f"its clock is at least {offset_s:+.1f} s off the controller's; "
            f"{needs['clock_tolerance_s']} s are allowed (run an NTP client)"
        )
    reasons.extend(
        f"its kernel lacks {module}, which the link needs (modprobe {module}, as root on the host)"
        for module in observed["shaping_missing"]
    )
    reasons.extend(
        f"its kernel lacks {module}, which the firewall needs (modprobe nf_tables nft_ct "
        "nft_reject_inet, as root on the host)"
        for module in observed["firewall_missing"]
    )
    if needs["own"] is not None and observed["before"] is None:
        found = [*strangers(observed, needs["own"])]
        if found:
            reasons.append(
                f"it has {', '.join(found)} from somebody else; Streambed would overwrite that"
            )
    return reasons


def _network_refusals(observed: Mapping[str, Any], needs: Mapping[str, Any]) -> list[str]:
    """What is wrong with its address, its interface and its ports."""
    address, carrier = needs["address"], observed["interface"]
    reasons = [
        f"{other} has the same address, {address}"
        for other, its in needs["addresses"].items()
        if its == address and other != needs["host"]
    ]
    if carrier is None:
        reasons.append(f"no interface carries {address} (bed_address in the inventory)")
    elif needs["interface"] not in (None, carrier):
        reasons.append(
            f"{address} is on {carrier}, not on {needs['interface']} "
            "(bandwidth_shaping_interface in the inventory)"
        )
    if carrier is not None:
        reasons += _detours(observed, needs)
    if observed["foreign_qdiscs"]:
        reasons.append(
            f"{carrier} has a queueing discipline of somebody else "
            f"({', '.join(observed['foreign_qdiscs'])}), which shaping would remove"
        )
    for port in needs["ports"]:
        holders = {
            each["user"]
            for each in observed["listening"]
            if each["port"] == port
            and each["address"] in (address, "0.0.0.0", "::")
            and each["user"] not in OUR_USERS
        }
        reasons.extend(
            f"port {port} is taken by a process of user {holder}" for holder in sorted(holders)
        )
    return reasons


def _detours(observed: Mapping[str, Any], needs: Mapping[str, Any]) -> Iterable[str]:
    """Peers that another interface or another address of this node leads to.

    Shaping would miss what goes there, and the peer's firewall knows one address of this node.
    """
    address, carrier = needs["address"], observed["interface"]
    for host, peer in needs["peers"].items():
        route = observed["routes"].get(peer)
        if route is None:
            yield f"no route leads from it to {host} ({peer}, bed_address in the inventory)"
        elif (route["dev"], route["src"]) != (carrier, address):
            yield (
                f"what goes to {host} ({peer}) leaves by {route['dev']} as {route['src']}, "
                f"not by {carrier} as {address} (bed_address in the inventory)"
            )


def strangers(observed: Mapping[str, Any], own: Mapping[str, Any]) -> Iterable[str]:
    """Paths, users and tables of nftables of a machine that have our names."""
    for path in map(PurePosixPath, sorted(observed["paths"])):
        if any(path.match(pattern) for pattern in own["paths"]):
            yield str(path)
    for name, user in observed["users"].items():
        if user is not None:
            yield f"user {name}"
    for table in own["tables"]:
        if " ".join(table) in observed["tables"]:
            yield f"the nftables table {' '.join(table)}"


def clock_offset_s(asked: float, node: float, answered: float) -> float:
    """The smallest offset that explains what the node's clock said between question and answer.

    On a busy machine seconds pass between the two; they are not the clock's fault.
    """
    return min(0.0, node - asked) + max(0.0, node - answered)


class FilterModule:
    """What Ansible looks for in this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"refusals": refusals}
