"""Jinja filters that judge what the probe saw; pure, so that they are tested without a node."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

GIB = 2**30


def refusals(observed: Mapping[str, Any], needs: Mapping[str, Any]) -> list[str]:
    """Why this node cannot be in the bed, one sentence per reason; empty when it can.

    `needs`: os, os_version, architecture, python, memory_bytes, disk_bytes, address,
    clock_tolerance_s. Memory within 5 % of the need passes: a machine of 8 GB has a bit less.
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
    if observed["interface"] is None:
        reasons.append(f"no interface carries {needs['address']} (bed_address in the inventory)")
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
    return reasons


def clock_offset_s(asked: float, node: float, answered: float) -> float:
    """The smallest offset that explains what the node's clock said between question and answer.

    On a busy machine seconds pass between the two; they are not the clock's fault.
    """
    return min(0.0, node - asked) + max(0.0, node - answered)


class FilterModule:
    """What Ansible looks for in this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"refusals": refusals}
