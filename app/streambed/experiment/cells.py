"""The cells of an experiment: one typed, complete configuration each, named by its hash."""

import hashlib
import json
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Any

from streambed import inventory
from streambed.errors import StreambedError
from streambed.experiment.ablation import AblationConfiguration
from streambed.experiment.batch import BatchConfiguration
from streambed.experiment.content import canonical, image_facts
from streambed.experiment.experiment import Experiment
from streambed.experiment.factor import Configuration
from streambed.experiment.factors import StreamingConfiguration, by_field
from streambed.experiment.kafka import (
    BrokerConfiguration,
    CamerasConfiguration,
    KafkaConfiguration,
)
from streambed.experiment.kafka_length import images_of as kafka_images
from streambed.experiment.length import images_of
from streambed.experiment.levels import Value
from streambed.experiment.schema import Gates, WarmUp
from streambed.experiment.training import TrainingConfiguration
from streambed.inventory import Inventory

SHORT = 10
"""Hex digits of a cell's short name: 40 bits, no clash in any matrix a person will run."""


@dataclass(frozen=True)
class SparkQuotas:
    """Cores that the nodes of a cell's driver and executors may use; None without a quota."""

    driver: float | None = None
    worker: float | None = None
    """Of each worker in use: the smallest."""
    workers: int = 1

    @property
    def all_workers(self) -> float | None:
        """Of all workers in use together."""
        return None if self.worker is None else self.worker * self.workers


@dataclass(frozen=True)
class Cell:
    """One combination of levels with everything that its result depends on.

    Frozen: whoever holds a cell knows what was asked for. Two cells are equal in effect exactly
    when their `identity` is equal.
    """

    config: Configuration
    """Every factor and fixed value, defaults included, `images` resolved to a number if it can."""
    payload_bytes: int
    bed: str
    """The inventory, as `inventory.load` takes it."""
    producer_cpus: float | None
    """CPU quota of the node that produces; None when it has none, or nothing depends on it."""
    quotas: SparkQuotas
    """Of the nodes that Spark runs on."""
    warm_up: WarmUp
    gates: Gates
    label: str
    """The varied levels in words: `10 Mbit/s, 1 s`."""

    @property
    def pipeline(self) -> str:
        """Name of the pipeline that runs it."""
        return self.config.pipeline

    @property
    def streaming(self) -> StreamingConfiguration:
        """The configuration of a cell of pipeline `streaming`, or what another has in common.

        An ablation takes it apart; a batch has its nodes, model and images, a training its nodes
        and images.
        """
        if isinstance(self.config, AblationConfiguration):
            return _whole(self.config)
        if isinstance(self.config, BatchConfiguration):
            return _alike(self.config)
        if isinstance(self.config, TrainingConfiguration):
            return StreamingConfiguration(
                images=self.config.images, workers=self.config.workers, dataset=self.config.dataset
            )
        if not isinstance(self.config, StreamingConfiguration):
            raise TypeError(f"a cell of pipeline {self.pipeline!r} has no streaming configuration")
        return self.config

    @property
    def ablation(self) -> AblationConfiguration:
        """The configuration of a cell of pipeline `ablation`."""
        if not isinstance(self.config, AblationConfiguration):
            raise TypeError(f"a cell of pipeline {self.pipeline!r} has no stage")
        return self.config

    @property
    def batch(self) -> BatchConfiguration:
        """The configuration of a cell of pipeline `batch`."""
        if not isinstance(self.config, BatchConfiguration):
            raise TypeError(f"a cell of pipeline {self.pipeline!r} has no chunks")
        return self.config

    @property
    def kafka(self) -> KafkaConfiguration:
        """The configuration of a cell of pipeline `kafka`."""
        if not isinstance(self.config, KafkaConfiguration):
            raise TypeError(f"a cell of pipeline {self.pipeline!r} has no scenario")
        return self.config

    @property
    def cameras(self) -> CamerasConfiguration:
        """The configuration of a cell of pipeline `cameras`."""
        if not isinstance(self.config, CamerasConfiguration):
            raise TypeError(f"a cell of pipeline {self.pipeline!r} has no cameras")
        return self.config

    @property
    def training(self) -> TrainingConfiguration:
        """The configuration of a cell of pipeline `training`."""
        if not isinstance(self.config, TrainingConfiguration):
            raise TypeError(f"a cell of pipeline {self.pipeline!r} has no engine")
        return self.config

    @property
    def shared(self) -> Hashable:
        """What cells that share something on their bed have in common; else its own name."""
        shared = self.config.shared
        return self.identity if shared is None else (self.bed, shared)

    @property
    def images(self) -> int | None:
        """How many images the cell sends and counts; None: as its search finds."""
        return self.config.images

    @property
    def given_images(self) -> int:
        """The same of a cell without a search."""
        assert self.config.images is not None
        return self.config.images

    def effective(self) -> dict[str, Any]:
        """The whole effective configuration, as JSON-ready data; paths stand as content hashes."""
        kinds = by_field(self.pipeline)
        return {
            "pipeline": self.pipeline,
            "bed": self.bed,
            "config": {
                field: canonical(field, kinds[field].kind, value)
                for field, value in self.config.as_fields().items()
            },
            "payload_bytes": self.payload_bytes,
            "warm_up": self.warm_up.model_dump(),
            "gates": self.gates.model_dump(),
        }

    @property
    def identity(self) -> str:
        """sha256 over the canonical JSON of `effective()`."""
        return digest(self.effective())

    @property
    def id(self) -> str:
        """The short form of the identity: field `cell` of a row, and in names of files."""
        return self.identity[:SHORT]

    def fields(self) -> dict[str, Value]:
        """What a row holds of the cell's configuration: field → value, units in the names."""
        return {**self.config.as_fields(), "payload_bytes": self.payload_bytes}


def _whole(part: AblationConfiguration) -> StreamingConfiguration:
    """The pipeline that an ablation takes apart: the engineered one, nothing shaped."""
    return StreamingConfiguration(
        images=part.images,
        producer=part.producer,
        partitions=part.partitions,
        model=part.model,
        weights=part.weights,
        dataset=part.dataset,
    )


def _alike(batch: BatchConfiguration) -> StreamingConfiguration:
    """Nothing is sent and nothing shaped: what decides the nodes, the model and the images."""
    return StreamingConfiguration(
        images=batch.images,
        workers=batch.workers,
        threads=batch.threads,
        model=batch.model,
        weights=batch.weights,
        dataset=batch.dataset,
    )


def digest(data: object) -> str:
    """sha256 of data's canonical JSON: sorted keys, no spaces, no NaN."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def cells(experiment: Experiment) -> tuple[Cell, ...]:
    """Every cell, in the order of the file.

    Raises:
        StreambedError: two combinations come to the same cell, or the images cannot be read.
    """
    result: dict[str, Cell] = {}
    for config in experiment.configurations():
        cell = _cell(experiment, config)
        if cell.id in result:
            raise StreambedError(
                f"{experiment.path}: {result[cell.id].label!r} and {cell.label!r} are the same "
                "cell: their levels have the same content"
            )
        result[cell.id] = cell
    return tuple(result.values())


def config_hash(experiment_cells: tuple[Cell, ...]) -> str:
    """One hash for what a run measures: the identities of its cells, whatever their order."""
    return digest(sorted(cell.identity for cell in experiment_cells))


def _cell(experiment: Experiment, config: Configuration) -> Cell:
    dataset = getattr(config, "dataset", "mnist")
    payload_bytes = image_facts(str(dataset)).payload_bytes
    bed = experiment.bed_of(config)
    nodes = inventory.load(bed)
    config = _resolved(config, nodes)
    cpus = _producer_cpus(config, nodes)
    searches = isinstance(config, StreamingConfiguration) and config.sustainable_share is not None
    images = config.images
    if isinstance(config, BrokerConfiguration):
        images = kafka_images(config, nodes)
    elif not searches:
        images = images_of(config, experiment.warm_up, payload_bytes, cpus)
    shown = [factor.show(getattr(config, factor.field)) for factor in experiment.varied]
    return Cell(
        config=replace(config, images=images),
        payload_bytes=payload_bytes,
        bed=bed,
        producer_cpus=cpus,
        quotas=_quotas(config, nodes),
        warm_up=experiment.warm_up,
        gates=experiment.gates,
        label=", ".join(shown) or experiment.name,
    )


def _resolved(config: Configuration, bed: Inventory) -> Configuration:
    """With what the bed decides: row and identity tell the effective value."""
    if not isinstance(config, StreamingConfiguration):
        return config
    workers = config.workers or len(bed.group("spark_workers"))
    if not workers:  # refused when the cell is placed
        return config
    return replace(
        config, workers=workers, partitions=config.partitions or workers * config.threads
    )


def _producer_cpus(config: Configuration, bed: Inventory) -> float | None:
    if not isinstance(config, StreamingConfiguration) or config.producer != "kafka-python":
        return None
    producers = bed.group("clients")
    return producers[0].cpus if producers else None


def _quotas(config: Configuration, bed: Inventory) -> SparkQuotas:
    masters, all_workers = bed.group("spark_master"), bed.group("spark_workers")
    used = all_workers[: getattr(config, "workers", None) or len(all_workers)]
    limits = [node.cpus for node in used if node.cpus is not None]
    return SparkQuotas(
        driver=masters[0].cpus if masters else None,
        worker=min(limits) if limits and len(limits) == len(used) else None,
        workers=len(used),
    )
