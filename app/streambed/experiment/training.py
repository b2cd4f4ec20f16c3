"""The factors of pipeline `training` (see factor.py)."""

from dataclasses import dataclass
from typing import ClassVar

from streambed.experiment.factor import Configuration, factor
from streambed.experiment.levels import Choice, Count, OrWord, PathTo
from streambed.pipelines.training.names import AUGMENTS, CHAINERMN, ENGINES, RANKED, SHIFT
from streambed.pipelines.training.steps import Steps


@dataclass(frozen=True, kw_only=True)
class TrainingConfiguration(Configuration):
    """LeNet-5, trained by the workers of a Spark cluster on images that a Spark job prepared."""

    pipeline: ClassVar[str] = "training"

    workers: int = factor(
        "workers", Count(), default=1, meaning="Spark workers in use, with one executor each"
    )
    engine: str = factor(
        "engine",
        Choice(ENGINES),
        default=CHAINERMN,
        meaning="chainermn: Chainer, gradients averaged over MPI; torch: the same network in "
        "PyTorch, by TorchDistributor; spark-mlp: Spark's own perceptron, 784-100-10 by L-BFGS",
    )
    batch_size: int = factor(
        "batch_size",
        Count(),
        default=768,
        meaning="images of an update, of all ranks together; of spark-mlp those that are stacked "
        "into one matrix, since each of its iterations takes all images",
    )
    epochs: int = factor(
        "epochs",
        Count(most=1000),
        default=15,
        meaning="times that each image is trained; of spark-mlp iterations",
    )
    iterations: int | None = factor(
        "iterations",
        OrWord("all", Count()),
        default=None,
        meaning="updates after which the training ends, before its epochs are over",
    )
    ranks: int = factor(
        "ranks",
        Count(most=64),
        default=1,
        meaning="processes on each worker that train a part of each batch",
    )
    augment: str = factor(
        "augment",
        Choice(AUGMENTS),
        default=SHIFT,
        meaning="shift: every second epoch has each image moved by up to 2 pixels",
    )
    seed: int = factor(
        "seed",
        Count(least=0, most=4_294_967_295),
        default=1,
        meaning="of initial weights, order and shifts of the images",
    )
    dataset: str = factor(
        "images",
        PathTo("directory of images or of IDX or NumPy files", ("mnist",)),
        default="mnist",
        meaning="the images to train with, and to evaluate on",
    )

    @property
    def all_ranks(self) -> int:
        """Of all workers."""
        return self.workers * self.ranks

    @property
    def partial(self) -> bool:
        """Whether the training ends before each image was trained as often as asked."""
        return self.iterations is not None

    def steps(self, training_images: int) -> Steps:
        """How it is cut into updates; of spark-mlp an update is an iteration over all images."""
        batch = self.batch_size
        if self.engine not in RANKED:
            batch = -(-training_images // self.all_ranks) * self.all_ranks
        return Steps(training_images, self.all_ranks, batch, self.epochs, self.iterations)

    def contradictions(self) -> list[str]:
        """What no single level can show."""
        found = [
            f"`{name}` means nothing to a training; allowed are `epochs` and `iterations`"
            for name, value in (("image_count", self.images), ("duration", self.duration_s))
            if value is not None
        ]
        if self.engine in RANKED and self.batch_size % self.all_ranks:
            found.append(
                f"batch_size: {self.batch_size} cannot be shared by {self.all_ranks} ranks "
                f"(workers {self.workers} x ranks {self.ranks}); allowed are multiples of "
                f"{self.all_ranks}"
            )
        return found
