"""Who may train: what a rank says of itself, against what the cell asks for, before it trains.

A rank that computes with something else, on another node or on other images than it should would
give figures of another training. So the driver looks at each introduction before it answers; and as
the first thing that ranks do with the answer is to agree on their weights, none trains before all
were found right.
"""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

Told = Mapping[str, Any]
"""What a rank says: rank, address, shard, images, versions."""


@dataclass
class Roll:
    """The ranks that a stretch is to have: `ranks` of `engine`, `each` on every one of `nodes`.

    `images` is how many each has to train with; `homes` is the node on which each part was written
    for it. Nodes are addresses.
    """

    engine: str
    ranks: int
    each: int
    images: int
    nodes: frozenset[str]
    homes: Mapping[int, str]
    _here: list[Told] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def refusal(self, told: Told) -> str | None:
        """Why this rank may not train; None when it may, and is one of them from now on."""
        with self._lock:
            reason = self._wrong(told)
            if reason is None:
                self._here.append(told)
                return None
        return f"it is not a rank that was asked for: {reason}"

    def _wrong(self, told: Told) -> str | None:
        number, address = told.get("rank"), told.get("address")
        shard, versions = told.get("shard"), told.get("versions")
        if not _whole(number) or number not in range(self.ranks):
            return f"its number is {number!r}, of {self.ranks} ranks"
        if number in self._all("rank"):
            return "there is a rank of that number"
        if address not in self.nodes:
            return f"its node is none of {', '.join(sorted(self.nodes))}"
        if list(self._all("address")).count(address) >= self.each:
            return f"its node has {self.each} ranks, which are all that were asked for"
        if not _whole(shard) or shard not in self.homes:
            return f"its part of the images is {shard!r}, which nobody wrote"
        if self.homes[shard] != address:
            return f"its part of the images, {shard}, was written on {self.homes[shard]}"
        if shard in self._all("shard"):
            return f"another rank has its part of the images, {shard}"
        if told.get("images") != self.images:
            return f"it has {told.get('images')!r} images, and should have {self.images}"
        if not isinstance(versions, Mapping) or versions.get("engine") != self.engine:
            return f"it computes with {versions!r}, not with {self.engine}"
        for other in self._here:
            if other["versions"] != versions:
                theirs = f"{dict(other['versions'])!r} on {other['address']}"
                return f"its versions are {dict(versions)!r}, but {theirs}"
        return None

    def _all(self, name: str) -> Iterable[Any]:
        return [told[name] for told in self._here]


def _whole(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
