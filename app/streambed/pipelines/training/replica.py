"""The model of a training: one rank's copy of the network, and how the copies stay the same."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from streambed.pipelines.training.state import Arrays

Pixels = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int32]


class Replica(Protocol):
    """One of `ranks` copies; calls of one method are made by all of them at the same time."""

    @property
    def rank(self) -> int:
        """Which one: 0 ... ranks - 1."""

    @property
    def ranks(self) -> int:
        """How many there are."""

    @property
    def versions(self) -> dict[str, str]:
        """What does the work, by name: the proof of the engine."""

    @property
    def waited_s(self) -> float | None:
        """Time spent waiting for others in `step`; None where it cannot be told from the work."""

    def step(self, images: Pixels, labels: Labels, step_size: float) -> float:
        """One update by the mean gradient of all ranks; the mean loss of this rank's images.

        Where the mean is longer than `schedule.MOST_NORM`, it is scaled down to that length.

        images float32[n, ...] in 0 ... 1, labels int32[n]; n is the same in all ranks.
        """

    def scores(self, images: Pixels) -> npt.NDArray[np.float32]:
        """Scores before softmax, float32[n, classes]; no other rank takes part."""

    def total(self, values: Sequence[float]) -> list[float]:
        """Each value summed over all ranks."""

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Weights and momentum, named as in state.py."""

    def restore(self, arrays: Arrays) -> None:
        """Go on from such a state."""

    def synchronise(self) -> None:
        """Give all ranks the weights of rank 0."""
