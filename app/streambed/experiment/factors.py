"""The factor registry: one line in a configuration class is all there is to a factor.

Each pipeline has one frozen dataclass. An attribute is at the same time the value the runner
reads, the field of a result row (its name carries the unit) and part of a cell's identity;
`factor(...)` gives the name a user writes, what a level may be, and what it means.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

from streambed.experiment.levels import (
    Choice,
    Count,
    Duration,
    Fraction,
    ImageRate,
    Kind,
    Model,
    OrWord,
    PathTo,
    Rate,
    Value,
)

_KEY = "streambed.factor"


@dataclass(frozen=True)
class Factor:
    """One thing an experiment can vary or fix."""

    name: str
    """What a user writes in the file and after `--set`."""
    field: str
    """Attribute of the configuration and field of the row; carries the unit."""
    kind: Kind
    default: Value
    meaning: str

    @property
    def label(self) -> str:
        """For an axis or a heading: `bandwidth (Mbit/s)`."""
        words = self.name.replace("_", " ")
        return f"{words} ({self.kind.unit})" if self.kind.unit else words

    def parse(self, raw: object, folder: Path) -> Value:
        """The typed level (levels.Rejected when it is not one)."""
        return self.kind.parse(raw, folder)

    def show(self, value: Value) -> str:
        """The level as a user would write it."""
        return self.kind.show(value)


def factor(name: str, kind: Kind, *, default: Value, meaning: str) -> Any:
    """Declare a factor as a dataclass field."""
    return dataclasses.field(
        default=default, metadata={_KEY: {"name": name, "kind": kind, "meaning": meaning}}
    )


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """What every pipeline can fix or vary."""

    pipeline: ClassVar[str]

    images: int | None = factor(
        "image_count",
        OrWord("auto", Count()),
        default=None,
        meaning="images sent in a cell; auto: as many as the warm-up and 8 whole triggers need",
    )
    duration_s: float | None = factor(
        "duration",
        OrWord("auto", Duration()),
        default=None,
        meaning="how long a cell sends, instead of a number of images",
    )

    def contradictions(self) -> list[str]:
        """Why a cell with this configuration could not be run, in words; empty when it can."""
        if self.images is not None and self.duration_s is not None:
            return ["`image_count` and `duration` are both given; allowed is one of the two"]
        return []

    def as_fields(self) -> dict[str, Value]:
        """Field name → value, in the order of declaration."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}


@dataclass(frozen=True, kw_only=True)
class StreamingConfiguration(Configuration):
    """Producer → shaped link → Kafka → Spark Structured Streaming → Chainer → result topic."""

    pipeline: ClassVar[str] = "streaming"

    bandwidth_mbit_per_s: float | None = factor(
        "bandwidth",
        OrWord("unshaped", Rate()),
        default=None,
        meaning="rate of the link between client and cluster, each direction",
    )
    trigger_s: float = factor(
        "trigger", Duration(), default=1.0, meaning="interval of the micro-batches"
    )
    mode: str = factor(
        "mode",
        Choice(("engineered", "as_published")),
        default="engineered",
        meaning="engineered: the best this stack can do",
    )
    broker_on: str = factor(
        "broker_on",
        Choice(("cloud", "client")),
        default="cloud",
        meaning="the side of the shaped link on which the broker runs",
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
    compression: str = factor(
        "compression",
        Choice(("none", "lz4", "zstd")),
        default="none",
        meaning="compression of the producer's batches",
    )
    offered_rate_images_per_s: float | None = factor(
        "offered_rate",
        OrWord("closed", ImageRate()),
        default=None,
        meaning="closed: as fast as the link takes them; a rate: open mode, at a constant rate",
    )
    sustainable_share: float | None = factor(
        "sustainable_share",
        OrWord("none", Fraction(whole=True)),
        default=None,
        meaning="open mode at this part of the sustainable rate, which the cell searches first",
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
        meaning="the images sent, cycled to any count",
    )

    @property
    def open_mode(self) -> bool:
        """Whether images are sent at a constant rate, whatever becomes of them."""
        return self.offered_rate_images_per_s is not None or self.sustainable_share is not None

    def contradictions(self) -> list[str]:
        """What no single level can show."""
        found = super().contradictions()
        if self.offered_rate_images_per_s is not None and self.sustainable_share is not None:
            found.append(
                "`offered_rate` and `sustainable_share` are both given; allowed is one of the two"
            )
        paced = self.bandwidth_mbit_per_s is not None or self.open_mode
        if not paced and self.images is None:
            found.append(
                "bandwidth 'unshaped' sets no pace, so the length of a cell is unknown; "
                "give `image_count`, an `offered_rate` or a `sustainable_share`"
            )
        if ".py:" in self.model and self.weights is None:
            found.append(f"model {self.model!r} needs `weights`: the path of its weights file")
        return found


PIPELINES: Mapping[str, type[Configuration]] = {
    cls.pipeline: cls for cls in (StreamingConfiguration,)
}
"""Every pipeline an experiment can name. A new one is one class here."""


def factors_of(pipeline: str) -> dict[str, Factor]:
    """The factors of a pipeline by the name a user writes."""
    result: dict[str, Factor] = {}
    for field in dataclasses.fields(PIPELINES[pipeline]):
        entry = field.metadata[_KEY]
        result[entry["name"]] = Factor(
            name=entry["name"],
            field=field.name,
            kind=entry["kind"],
            default=cast(Value, field.default),
            meaning=entry["meaning"],
        )
    return result


def by_field(pipeline: str) -> dict[str, Factor]:
    """The same factors by the field of a row."""
    return {factor.field: factor for factor in factors_of(pipeline).values()}


def describe(pipelines: Iterable[str] = PIPELINES) -> list[dict[str, str]]:
    """The registry as data for the documentation: one row per factor and pipeline."""
    return [
        {
            "pipeline": pipeline,
            "factor": factor.name,
            "field": factor.field,
            "levels": factor.kind.allowed,
            "default": factor.show(factor.default),
            "meaning": factor.meaning,
        }
        for pipeline in pipelines
        for factor in factors_of(pipeline).values()
    ]
