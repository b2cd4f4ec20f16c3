"""How far a training is, and where its time went: each second in one figure, or in none.

`prepare_s` and `launch_s` are those of the first time that it was done, `train_s` and `evaluate_s`
of an epoch stand in the curve, and `lost_s` is all that a loss cost: what was done for nothing,
what is done again, and waiting for a worker to come back.
"""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Progress:
    """Of all stretches; times in seconds."""

    epochs: int = 0
    state: bytes = b""
    curve: list[dict[str, Any]] = field(default_factory=list)
    images: int = 0
    updates: int = 0
    ranks: list[dict[str, Any]] = field(default_factory=list)
    """Those of the last stretch, as they introduced themselves."""
    losses: int = 0
    lost_s: float = 0.0
    _prepare_s: float | None = None
    _launch_s: float | None = None
    _counted_s: float = 0.0
    """Of the stretch under way: what stands in another figure than `lost_s`."""
    _again_s: float = 0.0
    """Of the stretch under way: what a loss is the cause of."""

    def begin(self) -> None:
        """A stretch begins."""
        self._counted_s = self._again_s = 0.0

    def waited(self, took_s: float) -> None:
        """For the workers of a stretch, after a loss."""
        self._again_s += took_s

    def prepared(self, took_s: float) -> None:
        """The images of a stretch are where its ranks will be."""
        if self._prepare_s is None:
            self._prepare_s = took_s
            self._counted_s += took_s
        else:
            self._again_s += took_s

    def launched(self, took_s: float) -> None:
        """The ranks of a stretch are there."""
        if self._launch_s is None:
            self._launch_s = took_s
            self._counted_s += took_s
        else:
            self._again_s += took_s

    def reach(self, entry: dict[str, Any], state: bytes) -> None:
        """An epoch is done, and `state` is the checkpoint.

        Args:
            entry: of the learning curve: epoch, updates, images, train_s, evaluate_s and more.
            state: weights and momentum, packed.
        """
        self.epochs = int(entry["epoch"])
        self.updates = int(entry["updates"])
        self.images += int(entry["images"])
        self.state = state
        self.curve.append(entry)
        self._counted_s += float(entry["train_s"]) + float(entry["evaluate_s"])

    def lose(self, took_s: float) -> None:
        """The stretch under way is lost, after `took_s`; what it reached stays."""
        self.losses += 1
        self.lost_s += max(0.0, took_s - self._counted_s)

    def end(self) -> None:
        """The stretch under way is the last one."""
        self.lost_s += self._again_s

    @property
    def figures(self) -> dict[str, Any]:
        """Of event `done`, whichever engine trained."""
        return {
            "prepare_s": self._prepare_s or 0.0,
            "launch_s": self._launch_s or 0.0,
            "lost_s": self.lost_s,
            "losses": self.losses,
            "ranks": self.ranks,
        }
