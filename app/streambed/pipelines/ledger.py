"""Every image sent is accounted for: which ids came, how often, and with what label."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

NO_LABEL = np.int32(-(2**31))


@dataclass(frozen=True)
class IdRange:
    """The ids first, first + 1, ... first + count - 1."""

    first: int
    count: int

    def __post_init__(self) -> None:
        if self.first < 0 or self.count < 0:
            raise ValueError(f"an id range needs first >= 0 and count >= 0, not {self}")

    def holds(self, ids: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        """Which of `ids` lie in the range."""
        first = np.uint64(self.first)
        return (ids >= first) & (ids - first < np.uint64(self.count))


class Ledger:
    """Counts for one run's ids; those of warm-up are known but not counted among the results.

    Attributes:
        unique: expected ids seen at least once.
        duplicates: results for an expected id beyond its first.
        conflicts: duplicates whose label differs from the first one's.
        warm_up: results for warm-up ids.
        unknown: results for ids that were never sent.
    """

    def __init__(self, expected: IdRange, warm_up: tuple[IdRange, ...] = ()) -> None:
        self.expected = expected
        self._warm_up = warm_up
        self._labels = np.full(expected.count, NO_LABEL, np.int32)
        self.unique = self.duplicates = self.conflicts = self.warm_up = self.unknown = 0

    @property
    def lost(self) -> int:
        """Expected ids without a result so far."""
        return self.expected.count - self.unique

    @property
    def complete(self) -> bool:
        """Whether every expected id has a result."""
        return self.lost == 0

    def add(self, ids: npt.NDArray[np.uint64], labels: npt.NDArray[np.int32]) -> int:
        """Enter results (`ids` uint64[n], `labels` int32[n]); returns how many ids were new."""
        inside = self.expected.holds(ids)
        if not inside.all():
            others = ids[~inside]
            known = np.zeros(len(others), np.bool_)
            for ids_of_warm_up in self._warm_up:
                known |= ids_of_warm_up.holds(others)
            self.warm_up += int(known.sum())
            self.unknown += int(len(others) - known.sum())
            ids, labels = ids[inside], labels[inside]
        index = (ids - np.uint64(self.expected.first)).astype(np.int64)
        first_index, position = np.unique(index, return_index=True)
        unseen = self._labels[first_index] == NO_LABEL
        self._labels[first_index[unseen]] = labels[position[unseen]]
        new = int(unseen.sum())
        self.unique += new
        self.duplicates += len(index) - new
        self.conflicts += int((self._labels[index] != labels).sum())
        return new

    def correct(self, truth: npt.NDArray[np.int32]) -> int:
        """How many ids seen have the label `truth` (int32[images]) gives for id % images."""
        labels, index = self._seen(len(truth))
        return int((labels == truth[index]).sum())

    def mismatches(self, reference: npt.NDArray[np.int32], decided: npt.NDArray[np.bool_]) -> int:
        """Ids whose label differs from the offline `reference` where that is `decided`.

        A label is decided when the model's margin is wider than rounding, which depends on how
        images were batched; both arrays are indexed by id % images.
        """
        labels, index = self._seen(len(reference))
        return int(((labels != reference[index]) & decided[index]).sum())

    def _seen(self, images: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """Labels of the ids seen, and the index of each one's image."""
        seen = np.flatnonzero(self._labels != NO_LABEL)
        return self._labels[seen], (seen + self.expected.first) % images
