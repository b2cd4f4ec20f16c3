"""When each image is meant to be sent, and which partition it goes to: arithmetic only."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """A constant rate whose intended times never slip, however late the sender is.

    The idea is OpenMessaging's UniformRateLimiter: image i is meant for start + i / rate, so that
    a stalled sender shows up as latency instead of being omitted.
    """

    start: float
    rate_per_s: float

    def intended(self, index: int) -> float:
        """Intended send time of image `index`, unix seconds."""
        return self.start + index / self.rate_per_s

    def due(self, now: float) -> int:
        """How many images are meant to have been sent at `now`."""
        if now < self.start:
            return 0
        return int((now - self.start) * self.rate_per_s) + 1


def block_size(partitions: int) -> int:
    """Ids that go to one partition before the next gets its turn.

    One round over the partitions is about 128 images: a tenth of a second of a 10 Mbit/s link, so
    that the partitions a trigger finds are evenly filled, and still runs that make full batches.
    """
    return max(1, 128 // partitions)


def partition_of(image_id: int, block: int, partitions: int) -> int:
    """Partition of an image: blocks of `block` consecutive ids take turns."""
    return image_id // block % partitions


def images_of_partitions(count: int, block: int, partitions: int) -> list[int]:
    """How many of the ids 0 ... count - 1 go to each partition, by `partition_of`."""
    rounds, rest = divmod(count, block * partitions)
    return [
        rounds * block + min(block, max(0, rest - number * block)) for number in range(partitions)
    ]
