"""The factors of pipeline `ablation` (see factor.py)."""

from dataclasses import dataclass
from typing import ClassVar

from streambed.experiment.factor import Configuration, factor
from streambed.experiment.levels import Choice, Count, Model, OrWord, PathTo


@dataclass(frozen=True, kw_only=True)
class AblationConfiguration(Configuration):
    """One stage of pipeline `streaming`, taken apart: where the time goes."""

    pipeline: ClassVar[str] = "ablation"

    stage: str = factor(
        "stage",
        Choice(("producer", "broker", "scan", "identity", "model", "full", "chainer", "loop")),
        default="full",
        meaning="producer: client to broker alone; broker: a plain consumer; scan: Spark reads; "
        "identity: and Arrow to Python and back; model: and Chainer; full: and the result topic; "
        "chainer: the model alone; loop: a hand-written consumer with model and result topic",
    )
    micro_batch_images: int = factor(
        "micro_batch_images",
        Count(),
        default=100_000,
        meaning="images of a micro-batch: what a trigger of 5 s brings at 20,000 images/s",
    )
    producer: str = factor(
        "producer",
        Choice(("confluent-kafka", "kafka-python")),
        default="confluent-kafka",
        meaning="client library of the producer",
    )
    partitions: int = factor(
        "partitions", Count(most=1000), default=2, meaning="partitions of the image topic"
    )
    model: str = factor(
        "model",
        Model(("mlp", "lenet5")),
        default="mlp",
        meaning="the network: built in, or the class of a Python file with `predict`",
    )
    weights: str | None = factor(
        "weights",
        OrWord("trained", PathTo("weights file")),
        default=None,
        meaning="weights of the model; trained: the testbed trains a built-in model once",
    )
    dataset: str = factor(
        "images",
        PathTo("directory of images or of IDX or NumPy files", ("mnist",)),
        default="mnist",
        meaning="the images in the topic, cycled to any count",
    )

    def contradictions(self) -> list[str]:
        """What no single level can show."""
        found = super().contradictions()
        if self.duration_s is not None:
            found.append("`duration` means nothing to a loaded topic; allowed is `image_count`")
        if ".py:" in self.model and self.weights is None:
            found.append(f"model {self.model!r} needs `weights`: the path of its weights file")
        return found
