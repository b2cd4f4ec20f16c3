"""Which resource a cell was busiest with: use over limit, in the measured window."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from streambed import link
from streambed.results.resources import NodeUse
from streambed.results.samples import Floats

AT_ITS_LIMIT = 0.9
"""A resource limits a cell from this share of it on: short of 1, since quotas are enforced and
bytes are queued in slices of time, some of which pass unused while work arrives unevenly."""

# Users below this part of what a node used are left out of the words.
_NAMED_SHARE = 0.05


@dataclass(frozen=True)
class Utilisation:
    """One resource in the window: `share` of `limit` was in use."""

    kind: str
    """cpu, memory or link."""
    resource: str
    """In words: `CPU of cloud`."""
    share: float
    limit: str
    """In words: `1.6 cores`."""
    users: Mapping[str, float] = field(default_factory=dict)
    """Parts of what was used, by group, largest first; they add up to 1."""

    def words(self) -> str:
        """`CPU of cloud, 96 % of 1.6 cores (Python workers 51 %, broker 9 %)`."""
        named = [f"{g} {part:.0%}" for g, part in self.users.items() if part >= _NAMED_SHARE]
        text = f"{self.resource}, {self.share:.0%} of {self.limit}"
        return (text + (f" ({', '.join(named)})" if named else "")).replace("%", " %")


def utilisations(
    nodes: Mapping[str, NodeUse],
    start_s: float,
    end_s: float,
    goodputs: Mapping[str, tuple[float, float]],
) -> tuple[Utilisation, ...]:
    """Every resource with a limit, the busiest first.

    CPU and link are means over the window, memory is its maximum (it runs out at once).

    Args:
        nodes: samples by node, which cover the window.
        start_s: start of the window, unix seconds.
        end_s: its end.
        goodputs: of the nodes with a shaped link, up and down, Mbit/s, as measured.

    Raises:
        ValueError: a node has no samples before the window, or none after it.
    """
    found = []
    for name, use in nodes.items():
        if not use.at_s.size or use.at_s[0] > start_s or use.at_s[-1] < end_s:
            raise ValueError(f"the samples of {name} do not cover the measured window")
        found += [_cpu(name, use, start_s, end_s), _memory(name, use, start_s, end_s)]
        if name in goodputs:
            found += _link(name, use, start_s, end_s, goodputs[name])
    return tuple(sorted(found, key=lambda entry: entry.share, reverse=True))


def measures(ranked: tuple[Utilisation, ...]) -> dict[str, float | str | None]:
    """The fields of a row: the highest share of each kind of resource (None without one)."""
    highest = {entry.kind: entry.share for entry in reversed(ranked)}
    return {
        "cpu_share_max": highest.get("cpu"),
        "memory_share_max": highest.get("memory"),
        "link_share_max": highest.get("link"),
        "bottleneck": in_words(ranked),
    }


def cpu_share(nodes: Iterable[NodeUse], start_s: float, end_s: float) -> float:
    """CPU time of some nodes together in the window, over their quotas together."""
    chosen = tuple(nodes)
    used = sum(_used(use.at_s, c, start_s, end_s) for use in chosen for c in use.cpu_s.values())
    return used / (end_s - start_s) / sum(use.limits.cpus for use in chosen)


def in_words(ranked: tuple[Utilisation, ...]) -> str | None:
    """What limits the rate: what is at its limit, or that nothing is, and what comes next.

    Memory is no rate: it limits a cell when it runs out, and then something dies.
    """
    rates = [entry for entry in ranked if entry.kind != "memory"]
    full = [entry.words() for entry in rates if entry.share >= AT_ITS_LIMIT]
    if full:
        return "; ".join(full)
    return f"nothing at its limit; busiest: {rates[0].words()}" if rates else None


def _used(at_s: Floats, counter: Floats, start_s: float, end_s: float) -> float:
    """What a counter grew by between two times; linear between samples."""
    early, late = np.interp([start_s, end_s], at_s, counter)
    return float(late - early)


def _cpu(name: str, use: NodeUse, start_s: float, end_s: float) -> Utilisation:
    used = {group: _used(use.at_s, c, start_s, end_s) for group, c in use.cpu_s.items()}
    return Utilisation(
        "cpu",
        f"CPU of {name}",
        sum(used.values()) / (end_s - start_s) / use.limits.cpus,
        f"{use.limits.cpus:g} cores",
        _parts(used),
    )


def _memory(name: str, use: NodeUse, start_s: float, end_s: float) -> Utilisation:
    inside = np.flatnonzero((use.at_s >= start_s) & (use.at_s <= end_s))
    together = np.sum(list(use.memory_bytes.values()), axis=0)
    fullest = inside[np.argmax(together[inside])]
    return Utilisation(
        "memory",
        f"memory of {name}",
        float(together[fullest]) / use.limits.memory_bytes,
        f"{use.limits.memory_bytes / 2**30:.1f} GiB",
        _parts({group: float(values[fullest]) for group, values in use.memory_bytes.items()}),
    )


def _link(
    name: str, use: NodeUse, start_s: float, end_s: float, goodput: tuple[float, float]
) -> list[Utilisation]:
    """Both directions: frames as the interface counts them, over those that the goodput needs."""
    # Payload of a full frame over its size on the wire.
    payload_share = link.expected_goodput_bit_per_s(1.0, use.limits.mtu_bytes)
    entries = []
    directions = (("up", "sent_bytes"), ("down", "received_bytes"))
    for (direction, counter), mbit_per_s in zip(directions, goodput, strict=True):
        sent = _used(use.at_s, use.counters[counter], start_s, end_s) * 8 / (end_s - start_s)
        entries.append(
            Utilisation(
                "link",
                f"link of {name}, {direction}",
                sent * payload_share / (mbit_per_s * 1e6),
                f"{mbit_per_s:.2f} Mbit/s of payload",
            )
        )
    return entries


def _parts(used: Mapping[str, float]) -> dict[str, float]:
    total = sum(used.values())
    if total <= 0:
        return {}
    return {g: u / total for g, u in sorted(used.items(), key=lambda entry: -entry[1])}
