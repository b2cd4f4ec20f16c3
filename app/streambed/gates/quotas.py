"""Gate 8, the node's side: each quota is in force, and no node used more CPU time than its own.

Both are read on the nodes: the limits of the control group, and its own account of CPU time.
"""

import math
from collections.abc import Iterable, Mapping

from streambed.gates.reading import Reading
from streambed.inventory import Node
from streambed.results.resources import NodeUse

MOST, SLICES_S = 1.02, 0.16
"""A quota is given out in slices of 0.1 s: a window may catch one more than its share. That is more
than MOST where the window is shorter than 8 s."""

_SAME = 0.01


def judge(
    uses: Mapping[str, NodeUse], nodes: Iterable[Node], start_s: float, end_s: float
) -> list[Reading]:
    """Two readings; none on a bed whose inventory states no quotas.

    Args:
        uses: samples by node, which cover the window.
        nodes: those of the bed.
        start_s: start of the measured window, unix seconds.
        end_s: its end.
    """
    limited = [node for node in nodes if node.cpus is not None]
    if not limited:
        return []
    shares = {
        node.name: uses[node.name].accounted_cpu_s(start_s, end_s) / (end_s - start_s) / node.cpus
        for node in limited
        if node.name in uses and node.cpus is not None
    }
    return [_in_force(uses, limited), *within(shares, limited, end_s - start_s)]


def _in_force(uses: Mapping[str, NodeUse], nodes: list[Node]) -> Reading:
    wrong = [text for node in nodes for text in _differences(node, uses.get(node.name))]
    return Reading(
        gate="quotas_in_force",
        ok=not wrong,
        measured="; ".join(wrong) or f"{len(nodes)} of {len(nodes)} nodes",
        expected="each node's control group allows what the inventory says",
    )


def _differences(node: Node, use: NodeUse | None) -> list[str]:
    if use is None:
        return [f"{node.name} was not sampled"]
    pairs = [("cpus", node.cpus, use.limits.cpus_in_force)]
    if node.memory_bytes is not None:
        pairs.append(("memory_bytes", node.memory_bytes, use.limits.memory_bytes_in_force))
    return [
        f"{node.name} has {name} {found}, not {asked}"
        for name, asked, found in pairs
        if asked is not None and (found is None or not math.isclose(found, asked, rel_tol=_SAME))
    ]


def within(shares: Mapping[str, float], nodes: Iterable[Node], span_s: float) -> list[Reading]:
    """Whether no node used more than its quota; no reading on a bed without quotas.

    Args:
        shares: CPU time over the quota by node, NaN where nobody accounts for it.
        nodes: those of the bed.
        span_s: over how long that was.
    """
    limited = [node for node in nodes if node.cpus is not None]
    if not limited:
        return []
    highest = max(shares, key=lambda name: shares[name], default=None)
    known = len(shares) == len(limited) and not any(map(math.isnan, shares.values()))
    most = max(MOST, 1 + SLICES_S / span_s)
    return [
        Reading(
            gate="cpu_within_quota",
            ok=known and max(shares.values()) <= most,
            measured=round(shares[highest], 4)
            if known and highest
            else "a node was not accounted for",
            expected=f"at most {most:.3g} of its quota by any node"
            + (f" (most: {highest})" if known else ""),
        )
    ]
