"""When the broker acknowledged some of the images, as the producer's client saw it."""

from array import array
from dataclasses import dataclass, field
from pathlib import Path

from streambed.pipelines.senders import OnAck

EVERY = 61
"""One image of so many is followed. A prime: ids go to partitions in blocks of powers of two, and
the first of each block, which waits longest for its batch, must not be the only one looked at."""


@dataclass
class AckSamples:
    """One entry per acknowledged image of the sample; times are unix seconds.

    Plain numbers, 16 bytes an entry: as Python's objects those of half an hour would look like a
    leak of the producer's, 11 MiB an hour at 3,000 images/s.
    """

    every: int = EVERY
    image_id: "array[int]" = field(default_factory=lambda: array("Q"))
    acked_at: "array[float]" = field(default_factory=lambda: array("d"))

    def of(self, image_id: int) -> OnAck | None:
        """What the sender is to call for this image; None when it is not in the sample."""
        if image_id % self.every:
            return None

        def enter(acked_at: float) -> None:
            self.image_id.append(image_id)
            self.acked_at.append(acked_at)

        return enter

    def save(self, path: Path) -> None:
        """Write the npz that the runner fetches: image_id uint64[n], acked_at float64[n]."""
        import numpy as np

        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as out:
            np.savez_compressed(
                out,
                image_id=np.array(self.image_id, np.uint64),
                acked_at=np.array(self.acked_at, np.float64),
            )
