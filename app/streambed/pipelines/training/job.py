"""What every rank of a training is told; its own part comes from its environment."""

import json
from dataclasses import asdict, dataclass

from streambed.pipelines.spec import parse
from streambed.pipelines.training.steps import Steps

VARIABLE = "STREAMBED_RANK"
"""Environment variable with the job as JSON: an argument would show the key to other users."""


@dataclass(frozen=True)
class RankJob:
    """`images` and `classes` of the training set; `shards` is the name that they lie under.

    `driver_address`, `driver_port`, `key` (hexadecimal): where the driver hears ranks of this
    `stretch`, which is one start of all ranks. A rank ends itself when it is not ready after
    `start_s`, or when later nothing moves for `stall_s`, both in seconds.
    """

    network: str
    image_shape: tuple[int, ...]
    classes: int
    images: int
    ranks: int
    batch_size: int
    epochs: int
    iterations: int | None
    seed: int
    shards: str
    stretch: int
    driver_address: str
    driver_port: int
    key: str
    start_s: float
    stall_s: float

    @property
    def steps(self) -> Steps:
        """How the training is cut into updates."""
        return Steps(self.images, self.ranks, self.batch_size, self.epochs, self.iterations)

    def to_json(self) -> str:
        """The job as text."""
        return json.dumps(asdict(self))

    @classmethod
    def of_json(cls, text: str) -> "RankJob":
        """The job again."""
        return parse(cls, json.loads(text), VARIABLE)
