"""The right labels of a data set's images, and what a model says about them offline."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from streambed.pipelines import datasets
from streambed.pipelines.errors import SpecError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

AMBIGUOUS_MARGIN = 1e-3
"""Where the two best scores are closer, rounding may decide which label wins."""


@dataclass(frozen=True)
class Answers:
    """Arrays indexed by id % images, each of one element per image of the data set.

    `truth` int32[n]: the right labels; `labels` int32[n]: the model's own, offline;
    `decided` bool[n]: where those do not depend on rounding. Picklable.
    """

    truth: "npt.NDArray[np.int32]"
    labels: "npt.NDArray[np.int32]"
    decided: "npt.NDArray[np.bool_]"

    def check(
        self, ids: "npt.NDArray[np.uint64]", labels: "npt.NDArray[np.int32]"
    ) -> tuple[int, int]:
        """How many of `labels` (int32[m], of `ids` uint64[m]) are right, and how many mismatch."""
        index = (ids % len(self.truth)).astype("int64")
        right = int((labels == self.truth[index]).sum())
        mismatches = int(((labels != self.labels[index]) & self.decided[index]).sum())
        return right, mismatches


def load(dataset: str, reference: str) -> Answers:
    """The answers for a data set; `reference` is what program `reference` wrote.

    Raises SpecError when the two do not belong together.
    """
    truth = datasets.load(dataset).labels
    labels, margin = read_reference(reference, len(truth))
    return Answers(truth, labels, margin >= AMBIGUOUS_MARGIN)


def read_reference(
    path: str, images: int
) -> "tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]":
    """Labels int32[images] and margins float32[images]; SpecError when they are others'."""
    import numpy as np

    try:
        with np.load(path) as content:
            labels, margin = content["labels"], content["margin"]
    except (OSError, ValueError, KeyError) as error:
        raise SpecError(f"{path}: not a reference: {error}") from None
    if len(labels) != images:
        raise SpecError(f"{path}: {len(labels)} labels, the data set has {images} images")
    return labels, margin
