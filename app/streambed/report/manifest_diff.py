"""What two runs' manifests differ in, sorted into what a reader would look at first."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from streambed.results.manifest import Manifest, differences

_ADDRESS = re.compile(r"\b\d{1,3}(\.\d{1,3}){3}\b")
_QUOTAS = ("cpus", "memory_bytes", "cpu_quota", "memory_limit_bytes")
_PER_NODE = ("application", "kafka")
"""Entries of `effective` and `checksums` with a level for each node."""


class Group(StrEnum):
    """What kind of thing differs, in the order in which it should be suspected."""

    CONFIGURATION = "configuration"
    QUOTAS = "quotas"
    HOST = "host"
    VERSIONS = "versions"
    CODE = "code"
    DATA = "data"
    RUN = "run"


_GROUPS = {"versions": Group.VERSIONS, "project": Group.CODE, "repeats": Group.RUN}


@dataclass(frozen=True)
class Difference:
    """One thing that is not the same; None where a run does not have it."""

    group: Group
    name: str
    nodes: tuple[str, ...]
    """Where it differs; empty when it is not a matter of a node."""
    first: Any
    second: Any


def manifest_differences(first: Manifest, second: Manifest) -> tuple[Difference, ...]:
    """What differs and may explain figures that do, by group.

    Left out are dates, the order and its seed, and the names and addresses of beds, which differ
    between runs that are the same, and factors that the runs vary.
    """
    varied = {f"config.{field}" for field in (*first.factors, *second.factors)}
    # Fixed values are in every cell; those that differ are told once.
    fixed = differences(first.cells[0].effective, second.cells[0].effective)
    found = [
        Difference(Group.CONFIGURATION, name.removeprefix("config."), (), *pair)
        for name, pair in fixed.items()
        if name not in varied
    ]
    found += [_entry(*entry) for entry in _walk("", _of(first), _of(second))]
    order = list(Group)
    return tuple(sorted(_merged(found), key=lambda entry: order.index(entry.group)))


def by_group(found: Iterable[Difference]) -> Mapping[Group, list[Difference]]:
    """The differences of each group that has any."""
    groups: dict[Group, list[Difference]] = {}
    for entry in found:
        groups.setdefault(entry.group, []).append(entry)
    return groups


def _of(manifest: Manifest) -> dict[str, Any]:
    """What is compared of a manifest, without the names of its beds where it has one."""
    facts = manifest.facts.model_dump(mode="json")
    beds = list(facts["inventory"])
    if len(beds) == 1:
        facts = {part: _without_bed(entries, beds[0]) for part, entries in facts.items()}
    return {
        "pipeline": manifest.pipeline,
        "study": manifest.study,
        "factors": manifest.factors,
        "repeats": manifest.repeats,
        **facts,
        "effective": _placeless(facts["effective"]),
    }


def _walk(name: str, first: Any, second: Any) -> Iterable[tuple[str, Any, Any]]:
    """What differs, by dotted name; a part that one run has nothing of is one difference."""
    left, right = (value if isinstance(value, dict) else None for value in (first, second))
    if left is None and right is None:
        if first != second:
            yield name, first, second
    elif not left or not right:
        if left or right:
            yield name, _size(left), _size(right)
    else:
        for key in dict.fromkeys((*left, *right)):
            inner = f"{name}.{key}" if name else str(key)
            yield from _walk(inner, left.get(key), right.get(key))


def _size(part: dict[str, Any] | None) -> str:
    return f"{len(part)} entries" if part else "not recorded"


def _without_bed(entries: dict[str, Any], bed: str) -> dict[str, Any]:
    """`{bed: {...}}` as its content, `kafka on bed` as `kafka`."""
    inner = entries.get(bed)
    rest = {name.removesuffix(f" on {bed}"): e for name, e in entries.items() if name != bed}
    return {**inner, **rest} if isinstance(inner, dict) else rest


def _placeless(data: Any) -> Any:
    if isinstance(data, dict):
        return {name: _placeless(inner) for name, inner in data.items()}
    if isinstance(data, list):
        return [_placeless(inner) for inner in data]
    return _ADDRESS.sub("ADDRESS", data) if isinstance(data, str) else data


def _entry(name: str, first: Any, second: Any) -> Difference:
    """What a dotted name of `_of` stands for."""
    part, _, rest = name.partition(".")
    node, label = _place(part, rest)
    return Difference(_group(part, label), label, (node,) if node else (), first, second)


def _place(part: str, rest: str) -> tuple[str, str]:
    """The node that an entry belongs to (or nothing), and what a reader would call it."""
    if not rest:
        return "", part
    inner, _, more = rest.partition(".")
    if part == "controller":
        return "controller", rest
    if part in ("inventory", "nodes", "versions") and more:
        return inner, more.removeprefix("packages.")
    if part in ("effective", "checksums") and more:
        node, _, setting = more.partition(".") if inner in _PER_NODE else ("", "", more)
        return node, f"{inner}: {setting}" if setting else inner
    return "", rest


def _group(part: str, label: str) -> Group:
    if part in ("inventory", "nodes"):
        if label == "groups":
            return Group.CONFIGURATION
        return Group.QUOTAS if label in _QUOTAS else Group.HOST
    if part == "controller":
        return Group.VERSIONS if label == "python" else Group.HOST
    if part == "checksums":
        return Group.CODE if label == "application" else Group.DATA
    return _GROUPS.get(part, Group.CONFIGURATION)


def _merged(found: Iterable[Difference]) -> list[Difference]:
    """What differs in the same way on several nodes, as one."""
    together: dict[tuple[Any, ...], Difference] = {}
    for entry in found:
        key = (entry.group, entry.name, repr(entry.first), repr(entry.second))
        before = together.get(key)
        nodes = tuple(dict.fromkeys((*(before.nodes if before else ()), *entry.nodes)))
        together[key] = Difference(entry.group, entry.name, nodes, entry.first, entry.second)
    return list(together.values())
