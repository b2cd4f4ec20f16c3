"""How a training is cut into updates: the same arithmetic on the controller and in each rank."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Steps:
    """`images` of the training set, shared by `ranks`; each update takes `batch_size` of them.

    Every rank has as many images as any other: where they cannot be divided, some come twice. The
    last batch of an epoch is what is left. `iterations` ends the training early.
    """

    images: int
    ranks: int
    batch_size: int
    epochs: int
    iterations: int | None = None

    def __post_init__(self) -> None:
        if min(self.images, self.ranks, self.batch_size, self.epochs) < 1:
            raise ValueError("images, ranks, batch_size and epochs must be >= 1")
        if self.iterations is not None and self.iterations < 1:
            raise ValueError("iterations must be >= 1")
        if self.batch_size % self.ranks:
            raise ValueError(f"batch_size {self.batch_size} is no multiple of {self.ranks} ranks")

    @property
    def rank_images(self) -> int:
        """Images of each rank."""
        return -(-self.images // self.ranks)

    @property
    def rank_batch(self) -> int:
        """Images of an update in each rank; the last of an epoch may have fewer."""
        return self.batch_size // self.ranks

    @property
    def per_epoch(self) -> int:
        """Updates of a whole epoch."""
        return -(-self.rank_images // self.rank_batch)

    @property
    def updates(self) -> int:
        """All updates."""
        whole = self.epochs * self.per_epoch
        return whole if self.iterations is None else min(whole, self.iterations)

    @property
    def trained_images(self) -> int:
        """Images over all updates and ranks."""
        epochs, rest = divmod(self.updates, self.per_epoch)
        return self.ranks * (epochs * self.rank_images + rest * self.rank_batch)
