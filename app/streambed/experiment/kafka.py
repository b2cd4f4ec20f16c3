"""The factors of pipelines `kafka` and `cameras`, which end at consumers (see factor.py)."""

import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import ClassVar

from streambed.experiment.factor import Configuration, factor
from streambed.experiment.levels import (
    Choice,
    Count,
    Duration,
    ImageRate,
    OrWord,
    PathTo,
    Rate,
    Size,
)
from streambed.pipelines.senders import NAMES, PLAIN

JAVA = "java"
"""Kafka's own performance tools."""

CLIENTS = (*NAMES, JAVA)

WHILE, PRODUCE, CONSUME = "produce_while_consuming", "produce_only", "consume_loaded"
SCENARIOS = (WHILE, PRODUCE, CONSUME)

FILMED_S = 20.0
"""How long cameras run when nothing is said."""

MOST_BATCH_BYTES = 16 * 2**20
"""`message.max.bytes` of the brokers: they refuse a larger batch."""

MOST_LINGER_S = 60.0
"""Far below what any of the clients refuses; Java's must deliver within two minutes."""

ACKS = {"none": "0", "leader": "1", "all": "all"}
"""A level of `acks` → what clients call it."""


@dataclass(frozen=True, kw_only=True)
class BrokerConfiguration(Configuration):
    """What every pipeline that ends at Kafka's consumers can fix or vary."""

    partitions: int = factor(
        "partitions", Count(most=1000), default=1, meaning="partitions of the image topic"
    )
    consumers: int = factor(
        "consumers",
        Count(most=64),
        default=1,
        meaning="consumers, one process each, that share the partitions evenly; in turn on the "
        "bed's nodes for them",
    )
    brokers: int = factor(
        "brokers",
        Count(),
        default=1,
        meaning="brokers that hold the topic, the first so many of the bed; the others have none "
        "of it",
    )
    replication: int = factor(
        "replication", Count(), default=1, meaning="brokers that hold each partition"
    )
    broker_on: str = factor(
        "broker_on",
        Choice(("cloud", "client")),
        default="cloud",
        meaning="the side of the link on which brokers run; client: the producer's own node",
    )
    bandwidth_mbit_per_s: float | None = factor(
        "bandwidth",
        OrWord("unshaped", Rate()),
        default=None,
        meaning="rate of the link between the producer's node and all others, each direction",
    )
    plaintext: str = factor(
        "plaintext",
        Choice(("off", "on")),
        default="off",
        meaning="off: clients come by TLS, with passwords; on: without either, through a port that "
        "is open as long as the cell runs",
    )
    dataset: str = factor(
        "images",
        PathTo("directory of images or of IDX or NumPy files", ("mnist",)),
        default="mnist",
        meaning="the images sent, cycled to any count",
    )

    def contradictions(self) -> list[str]:
        """What no single level can show."""
        found = super().contradictions()
        if self.replication > self.brokers:
            found.append(
                f"`replication: {self.replication}` with `brokers: {self.brokers}`: each replica "
                f"needs a broker of its own; allowed is up to {self.brokers}"
            )
        return found


@dataclass(frozen=True, kw_only=True)
class KafkaConfiguration(BrokerConfiguration):
    """Producer → brokers → consumers, and nothing else: study B."""

    pipeline: ClassVar[str] = "kafka"

    scenario: str = factor(
        "scenario",
        Choice(SCENARIOS),
        default=WHILE,
        meaning="produce_while_consuming; produce_only; consume_loaded: what was loaded before, "
        "by the same client",
    )
    client: str = factor(
        "client",
        Choice(CLIENTS),
        default="confluent-kafka",
        meaning="library of producer and consumers; kafka-python-plain: without its crc32c extra; "
        "java: Kafka's own performance tools, an outside reference",
    )
    acks: str | None = factor(
        "acks",
        OrWord("library", Choice(tuple(ACKS))),
        default=None,
        meaning="who must have a record before it counts as sent; all: every replica in sync",
    )
    idempotence: str | None = factor(
        "idempotence",
        OrWord("library", Choice(("off", "on"))),
        default=None,
        meaning="on: brokers drop what a retry sends again",
    )
    batch_bytes: int | None = factor(
        "batch",
        OrWord("library", Size(most=MOST_BATCH_BYTES)),
        default=None,
        meaning="largest batch of a partition",
    )
    linger_s: float | None = factor(
        "linger",
        OrWord("library", Duration(zero=True, most_s=MOST_LINGER_S)),
        default=None,
        meaning="how long a batch waits for more records",
    )
    compression: str = factor(
        "compression",
        Choice(("none", "gzip", "lz4", "zstd")),
        default="none",
        meaning="compression of the producer's batches",
    )
    offered_rate_images_per_s: float | None = factor(
        "offered_rate",
        OrWord("closed", ImageRate()),
        default=None,
        meaning="closed: as fast as the client can; a rate: constant",
    )
    kill_broker: int | None = factor(
        "kill_broker",
        OrWord("none", Count()),
        default=None,
        meaning="the broker whose process is killed (-9) in mid-run and comes back, counted from 1",
    )

    @property
    def shared(self) -> Hashable:
        """Cells that read the same loaded topic; others share nothing."""
        if self.scenario != CONSUME:
            return None
        return tuple(value for name, value in self.as_fields().items() if name != "consumers")

    @property
    def consumes(self) -> bool:
        """Whether consumers are part of what is measured."""
        return self.scenario != PRODUCE

    @property
    def produces(self) -> bool:
        """Whether the producer is part of what is measured."""
        return self.scenario != CONSUME

    def contradictions(self) -> list[str]:
        """What no single level can show."""
        found = super().contradictions()
        if self.idempotence == "on" and self.acks not in (None, "all"):
            found.append(f"`idempotence: on` needs `acks: all`, not {self.acks}")
        if self.client in ("kafka-python", PLAIN) and self.compression in ("lz4", "zstd"):
            found.append(
                f"client {self.client!r} has no library for compression {self.compression!r} on "
                "the nodes; allowed: none, gzip, or client 'confluent-kafka'"
            )
        if self.offered_rate_images_per_s is not None and not self.produces:
            found.append(f"`offered_rate` means nothing to scenario {CONSUME}: nothing is sent")
        return found + self._java() + self._fault()

    def _java(self) -> list[str]:
        if self.client != JAVA:
            return []
        found = []
        if self.scenario == WHILE or self.consumers > 1:
            found.append(
                f"client 'java' is one tool at a time: allowed are scenarios {PRODUCE} and "
                f"{CONSUME} with `consumers: 1`"
            )
        if self.offered_rate_images_per_s is not None or self.kill_broker is not None:
            found.append("client 'java' counts no ids: no `offered_rate`, no `kill_broker`")
        return found

    def _fault(self) -> list[str]:
        if self.kill_broker is None:
            return []
        found = []
        if self.kill_broker > self.brokers:
            found.append(f"`kill_broker: {self.kill_broker}` with `brokers: {self.brokers}`")
        if not self.produces:
            found.append(f"`kill_broker` means nothing to scenario {CONSUME}: nothing is sent")
        return found


@dataclass(frozen=True, kw_only=True)
class CamerasConfiguration(BrokerConfiguration):
    """Many producers at a fixed frame rate, held by one process → brokers → consumers."""

    pipeline: ClassVar[str] = "cameras"

    cameras: int = factor(
        "cameras", Count(most=1000), default=50, meaning="cameras, all in one process"
    )
    frame_rate_images_per_s: float = factor(
        "frame_rate", ImageRate(), default=5.0, meaning="frames of each camera"
    )
    camera_clients: str = factor(
        "camera_clients",
        Choice(("own", "shared")),
        default="own",
        meaning="own: each camera has a Kafka client and connections of its own, as separate "
        "devices have; shared: one client sends for all",
    )
    acks: str = factor(
        "acks",
        Choice(tuple(ACKS)),
        default="all",
        meaning="who must have a frame before it counts as sent; all: every replica in sync",
    )
    linger_s: float = factor(
        "linger",
        Duration(zero=True, most_s=MOST_LINGER_S),
        default=0.0,
        meaning="how long a batch waits for more frames",
    )

    @property
    def frames(self) -> int:
        """Of each camera."""
        return math.ceil((self.duration_s or FILMED_S) * self.frame_rate_images_per_s)

    def contradictions(self) -> list[str]:
        """What no single level can show."""
        found = super().contradictions()
        if self.images is not None:
            found.append(
                "`image_count` follows from cameras, `frame_rate` and `duration`; give those"
            )
        return found
