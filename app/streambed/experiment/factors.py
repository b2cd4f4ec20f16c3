"""The factor registry: every pipeline's configuration, one line for each factor (see factor.py)."""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from streambed.experiment.ablation import AblationConfiguration
from streambed.experiment.batch import BatchConfiguration
from streambed.experiment.factor import (
    BY_MODE,
    KEY,
    MODES,
    Configuration,
    Factor,
    by_mode,
    factor,
    preset_of,
)
from streambed.experiment.fault import AFTER_S, FAULTS
from streambed.experiment.kafka import CamerasConfiguration, KafkaConfiguration
from streambed.experiment.levels import (
    Choice,
    Count,
    Duration,
    Fraction,
    ImageRate,
    Model,
    OrWord,
    PathTo,
    Rate,
    Value,
)
from streambed.experiment.training import TrainingConfiguration

_SWAPS = (
    *("producer", "producer_settings", "partitions"),
    *("batching", "conversion", "calls", "spark_settings"),
)


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
        Choice(MODES),
        default="engineered",
        meaning="default of the factors given as `by mode`; engineered: the best this stack can "
        "do, as_published: the design of study A on today's versions",
    )
    swap: str | None = factor(
        "swap",
        OrWord("nothing", Choice(_SWAPS)),
        default=None,
        meaning="the one factor that takes the other mode's value, to tell what it contributes",
    )
    broker_on: str = factor(
        "broker_on",
        Choice(("cloud", "client")),
        default="cloud",
        meaning="the side of the shaped link on which the broker runs",
    )
    workers: int | None = factor(
        "workers",
        OrWord("all", Count()),
        default=None,
        meaning="Spark workers that run, with one executor each; the bed's others are stopped",
    )
    threads: int = factor(
        "threads",
        Count(most=64),
        default=2,
        meaning="tasks that an executor works on at a time",
    )
    spark_pages: str = factor(
        "spark_pages",
        Choice(("off", "on")),
        default="off",
        meaning="on: the application serves its pages while it runs, and keeps an event log for "
        "the history server; both cost the driver some CPU",
    )
    producer: str = by_mode(
        "producer",
        Choice(("confluent-kafka", "kafka-python")),
        engineered="confluent-kafka",
        as_published="kafka-python",
        meaning="client library of the producer",
    )
    producer_settings: str = by_mode(
        "producer_settings",
        Choice(("fitted", "library")),
        engineered="fitted",
        as_published="library",
        meaning="batching and safety of the producer: fitted to the link, or the library's own "
        "defaults; what may wait for the link is bounded in both",
    )
    partitions: int | None = by_mode(
        "partitions",
        OrWord("one_per_thread", Count(most=1000)),
        engineered=None,
        as_published=1,
        meaning="partitions of the image topic; one_per_thread: workers x threads, so that each "
        "thread has one task of every micro-batch, of the same size",
    )
    batching: str = by_mode(
        "batching",
        Choice(("backlog", "interval")),
        engineered="backlog",
        as_published="interval",
        meaning="what a micro-batch holds. backlog: all that has arrived (Structured Streaming); "
        "interval: what arrived in one trigger, batches queue in order (as DStreams did)",
    )
    conversion: str = by_mode(
        "conversion",
        Choice(("arrow", "rows")),
        engineered="arrow",
        as_published="rows",
        meaning="from Kafka's records to the model's array. arrow: whole columns, no copy; rows: "
        "a Python object and an array for each, stacked",
    )
    calls: str = by_mode(
        "calls",
        Choice(("chunked", "one_per_batch")),
        engineered="chunked",
        as_published="one_per_batch",
        meaning="calls of the model. chunked: 2,000 images at a time; one_per_batch: all that a "
        "micro-batch has of a partition at once",
    )
    spark_settings: str = by_mode(
        "spark_settings",
        Choice(("lean", "plain")),
        engineered="lean",
        as_published="plain",
        meaning="lean: what shortens a micro-batch on few cores; plain: Spark's own defaults, but "
        "for addresses, ports, memory and JVM",
    )
    compression: str = factor(
        "compression",
        Choice(("none", "lz4", "zstd")),
        default="none",
        meaning="compression of the producer's batches",
    )
    plaintext: str = factor(
        "plaintext",
        Choice(("off", "on")),
        default="off",
        meaning="off: Kafka's clients come by TLS, with passwords; on: without either, through a "
        "port that is open as long as the cell runs. Spark's own connections stay encrypted",
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
    fault: str | None = factor(
        "fault",
        OrWord("none", Choice(tuple(FAULTS))),
        default=None,
        meaning="; ".join(f"{name}: {each.what}" for name, each in FAULTS.items())
        + f". Each {AFTER_S:g} s after the first image; open mode only",
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
    def given_workers(self) -> int:
        """Workers of a cell, where its bed has told how many `all` are."""
        assert self.workers is not None
        return self.workers

    @property
    def given_partitions(self) -> int:
        """Partitions of a cell."""
        assert self.partitions is not None
        return self.partitions

    @property
    def open_mode(self) -> bool:
        """Whether images are sent at a constant rate, whatever becomes of them."""
        return self.offered_rate_images_per_s is not None or self.sustainable_share is not None

    def __post_init__(self) -> None:
        """Fill in what the mode decides, so that row and identity tell the effective value."""
        for field in dataclasses.fields(self):
            if getattr(self, field.name) == BY_MODE:
                object.__setattr__(self, field.name, self._preset(field))

    def _preset(self, field: "dataclasses.Field[Any]") -> Value:
        """What the mode decides, or the other one for the factor that is swapped."""
        (other,) = set(MODES) - {self.mode}
        return preset_of(field, other if field.metadata[KEY]["name"] == self.swap else self.mode)

    def contradictions(self) -> list[str]:
        """What no single level can show."""
        found = super().contradictions()
        if self.offered_rate_images_per_s is not None and self.sustainable_share is not None:
            found.append(
                "`offered_rate` and `sustainable_share` are both given; allowed is one of the two"
            )
        for field in dataclasses.fields(self):
            name, kind = field.metadata[KEY]["name"], field.metadata[KEY]["kind"]
            given = getattr(self, field.name)
            if name == self.swap and given != (swapped := self._preset(field)):
                found.append(
                    f"`swap: {name}` means {kind.show(swapped)}, but `{name}: {kind.show(given)}` "
                    "is given; allowed is one of the two"
                )
        paced = self.bandwidth_mbit_per_s is not None or self.open_mode
        if not paced and self.images is None:
            found.append(
                "bandwidth 'unshaped' sets no pace, so the length of a cell is unknown; "
                "give `image_count`, an `offered_rate` or a `sustainable_share`"
            )
        if self.producer == "kafka-python" and self.compression != "none":
            found.append(
                f"producer 'kafka-python' has no library for compression {self.compression!r} on "
                "the nodes; allowed: none, or producer 'confluent-kafka'"
            )
        if ".py:" in self.model and self.weights is None:
            found.append(f"model {self.model!r} needs `weights`: the path of its weights file")
        if self.fault is not None and not self.open_mode:
            found.append(
                f"fault {self.fault!r} is felt as lateness, which closed mode does not know; give "
                "an `offered_rate` or a `sustainable_share`"
            )
        if self.fault is not None and self.duration_s is not None and self.duration_s < 2 * AFTER_S:
            found.append(
                f"fault {self.fault!r} comes {AFTER_S:g} s after the first image; allowed is a "
                f"`duration` of {2 * AFTER_S:g} s and more"
            )
        return found


PIPELINES: Mapping[str, type[Configuration]] = {
    cls.pipeline: cls
    for cls in (
        StreamingConfiguration,
        AblationConfiguration,
        BatchConfiguration,
        KafkaConfiguration,
        CamerasConfiguration,
        TrainingConfiguration,
    )
}
"""Every pipeline an experiment can name. A new one is one class here."""


def factors_of(pipeline: str) -> dict[str, Factor]:
    """The factors of a pipeline by the name a user writes."""
    result: dict[str, Factor] = {}
    for field in dataclasses.fields(PIPELINES[pipeline]):
        entry = field.metadata[KEY]
        result[entry["name"]] = Factor(
            name=entry["name"],
            field=field.name,
            kind=entry["kind"],
            default=cast(Value, field.default),
            meaning=entry["meaning"],
            presets=entry.get("presets", {}),
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
            "default": factor.show_default(),
            "meaning": factor.meaning,
        }
        for pipeline in pipelines
        for factor in factors_of(pipeline).values()
    ]
