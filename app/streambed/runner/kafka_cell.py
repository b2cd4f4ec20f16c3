"""One cell of pipeline `kafka`, step by step; what it saw stays, also when it failed.

Consumers have their partitions before the first image is sent or read. Completion is a count. What
is in the topic is counted by id at the end, also where nobody read it while it was measured, and
after a fault once more, from the replicas as they are then.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from streambed.experiment.kafka import JAVA
from streambed.experiment.kafka_length import consume_rate_per_s, produce_rate_per_s
from streambed.experiment.placement import KafkaPlacement
from streambed.gates import contention, disturbance
from streambed.inventory import Node
from streambed.pipelines import senders
from streambed.runner import clocks, kafka_specs, sampling, services
from streambed.runner.linked import Linked
from streambed.runner.pipeline import Work
from streambed.runner.program import Event, Program

_START_TIMEOUT_S = 120.0
_STOP_TIMEOUT_S = 60.0
_PATIENCE, _PATIENCE_FLOOR_S = 4.0, 180.0
"""A step may take so many times as long as it should, and some minutes: a broker may come back."""

_CHECK_GIVE_UP_S = 30.0
"""What is only counted is all there: brokers are in sync, and nobody sends."""

KILL_AT = 0.4
"""Part of the images that are acknowledged when a broker is killed."""


@dataclass
class KafkaSeen:
    """Everything a cell gave, before figures are computed from it."""

    link: Linked = field(default_factory=Linked)
    produced: Event = field(default_factory=dict)
    """The `done` event of the producer, or of the one that loaded the topic."""
    producer_events: list[Event] = field(default_factory=list)
    """Of the producer that was measured."""
    consumers: list[Event] = field(default_factory=list)
    """`done` events of the consumers that were measured."""
    consumer_events: list[list[Event]] = field(default_factory=list)
    checked: list[Event] = field(default_factory=list)
    """`done` events of the consumers that only count what is there."""
    counted: Event = field(default_factory=dict)
    """The `done` event of program `consume`, where records have no id."""
    stored: dict[str, dict[str, int]] = field(default_factory=dict)
    taken: contention.Taken | None = None
    lives: tuple[disturbance.Lives, disturbance.Lives] = ({}, {})
    began_at: float = 0.0
    """Unix seconds, of the measured phase."""
    ended_at: float = 0.0
    killed_at: float | None = None
    """Unix seconds by the keeper's clock, as is `recovered_at`."""
    recovered_at: float | None = None


class KafkaCell:
    """The steps of one cell."""

    def __init__(self, work: Work, place: KafkaPlacement, seen: KafkaSeen) -> None:
        self._work = work
        self._config = work.cell.kafka
        self._count = work.cell.given_images
        self._place = place
        self._seen = seen
        self._client = work.fleet.on(place.producer)
        self._expected = kafka_specs.images_of_partitions(self._config, self._count)

    @property
    def patience_s(self) -> float:
        """How long a step may take."""
        bed = self._work.fleet.inventory
        rates = produce_rate_per_s(self._config, bed), consume_rate_per_s(self._config, bed)
        return _PATIENCE * self._count / min(rates) + _PATIENCE_FLOOR_S

    async def produce(self, topic: str, dataset: str) -> None:
        """Send everything, while consumers read where the scenario has some.

        Raises:
            CellFailure: a step failed.
        """
        seen = self._seen
        async with contextlib.AsyncExitStack() as stack:
            readers = []
            if self._config.consumes:
                readers = await self._readers(
                    stack, topic, self._place.consumers, self._config.client
                )
            async with self._measured():
                for reader in readers:
                    reader.command("go")
                self._work.display.stage("sending")
                await self._send(topic, dataset)
                seen.consumers = await self._all_done(readers)
                seen.consumer_events = [reader.events for reader in readers]
        await self._in_sync(topic)
        if not self._config.consumes or seen.killed_at is not None or _gave_up(seen.consumers):
            await self._check(topic)

    async def consume(self, topic: str, dataset: str) -> None:
        """Read a loaded topic.

        Raises:
            CellFailure: a step failed.
        """
        seen = self._seen
        self._work.display.stage("reading")
        if self._config.client == JAVA:
            node = self._work.fleet.on(self._place.consumers[0])
            spec = kafka_specs.perf_spec(
                self._config, self._place, topic, "consume", dataset=dataset, count=self._count
            )
            async with self._measured(), Program(node, "perf", spec) as tool:
                seen.consumers = [await tool.until("done", timeout_s=self.patience_s)]
                seen.consumer_events = [tool.events]
        else:
            async with contextlib.AsyncExitStack() as stack:
                readers = await self._readers(
                    stack, topic, self._place.consumers, self._config.client
                )
                async with self._measured():
                    for reader in readers:
                        reader.command("go")
                    seen.consumers = await self._all_done(readers)
                    seen.consumer_events = [reader.events for reader in readers]
        await self._in_sync(topic)
        if _gave_up(seen.consumers):
            await self._check(topic)

    @contextlib.asynccontextmanager
    async def _measured(self) -> AsyncIterator[None]:
        """What happens inside is measured: samples of every node, and what others took."""
        seen, sessions = self._seen, self._work.fleet.all()
        lives = await disturbance.read(sessions)
        sampled = sampling.sampled(self._work.fleet, self._work.directory)
        async with contention.watching(sessions) as watched, sampled:
            seen.began_at = time.time()
            yield
            seen.ended_at = time.time()
        seen.taken = watched.taken
        seen.lives = (lives, await disturbance.read(sessions))

    async def _readers(
        self,
        stack: contextlib.AsyncExitStack,
        topic: str,
        nodes: Sequence[Node],
        client: str,
        give_up_s: float = _PATIENCE_FLOOR_S,
    ) -> list[Program]:
        """One consumer on each of the nodes, with its partitions, waiting for `go`."""
        specs = kafka_specs.read_specs(
            self._config,
            self._place,
            topic,
            client=client,
            expected=self._expected,
            consumers=len(nodes),
            give_up_s=give_up_s,
        )
        readers = [
            await stack.enter_async_context(Program(self._work.fleet.on(node), "read", spec))
            for node, spec in zip(nodes, specs, strict=False)  # more consumers than partitions
        ]
        await asyncio.gather(*(r.until("ready", timeout_s=_START_TIMEOUT_S) for r in readers))
        return readers

    async def _all_done(self, readers: Sequence[Program]) -> list[Event]:
        """Until each consumer has ended by itself; their `done` events."""
        done = await asyncio.gather(
            *(reader.until("done", timeout_s=self.patience_s) for reader in readers)
        )
        await asyncio.gather(*(reader.end(timeout_s=_STOP_TIMEOUT_S) for reader in readers))
        return list(done)

    async def _send(self, topic: str, dataset: str) -> None:
        seen, config = self._seen, self._config
        name, spec = self._producer(topic, dataset)
        async with Program(self._client, name, spec, self._show) as produce:
            seen.producer_events = produce.events
            waiting = asyncio.create_task(produce.until("done", timeout_s=self.patience_s))
            fault = None
            if config.kill_broker is not None:
                broker = self._place.brokers[config.kill_broker - 1]
                fault = asyncio.create_task(self._kill(produce, broker, topic))
            try:
                seen.produced = await waiting
                if fault is not None:
                    await fault
            finally:
                for task in (waiting, fault):
                    if task is not None:
                        task.cancel()
                await asyncio.gather(waiting, *([fault] if fault else []), return_exceptions=True)
            await produce.end(timeout_s=_STOP_TIMEOUT_S)

    def _producer(self, topic: str, dataset: str) -> tuple[str, dict[str, Any]]:
        if self._config.client == JAVA:
            return "perf", kafka_specs.perf_spec(
                self._config, self._place, topic, "produce", dataset=dataset, count=self._count
            )
        return "produce", kafka_specs.produce_spec(
            self._config,
            self._place,
            topic,
            dataset=dataset,
            count=self._count,
            deadline_s=self.patience_s,
        )

    def _show(self, event: Event) -> None:
        if event.get("event") == "progress":
            self._work.display.images(event["acked"], self._count)

    async def _kill(self, produce: Program, broker: Node, topic: str) -> None:
        """Kill a broker in mid-run, and see it come back while images are still being sent."""
        least = KILL_AT * self._count

        def midway() -> Event | None:
            newest = produce.last("progress")
            return newest if newest is not None and newest["acked"] >= least else None

        await produce.until_true(midway, what=f"{least:.0f} images", timeout_s=self.patience_s)
        session = self._work.fleet.on(broker)
        self._work.display.stage(f"kafka on {broker.name} is killed")
        # By the clock of the node that says when replicas are in sync.
        self._seen.killed_at = await clocks.now(self._work.fleet.on(self._place.keeper))
        await services.kill(session, "kafka")
        await services.until_active(session, "kafka")
        self._seen.recovered_at = (await self._replicas(topic))["in_sync_at"]

    async def _in_sync(self, topic: str) -> None:
        """Until every replica has everything; what each broker then holds."""
        self._seen.stored = (await self._replicas(topic))["stored_bytes"]

    async def _replicas(self, topic: str) -> Event:
        spec = {
            "bootstrap": self._place.bootstrap,
            "topic": topic,
            "brokers": self._place.addresses,
        }
        keeper = self._work.fleet.on(self._place.keeper)
        async with Program(keeper, "replicas", spec) as program:
            return await program.until("done", timeout_s=_PATIENCE_FLOOR_S)

    async def _check(self, topic: str) -> None:
        """Count what is in the topic by id, or by record where Java's tool has sent it."""
        self._work.display.stage("counting what is stored")
        nodes = list(dict.fromkeys(self._place.consumers))
        if self._config.client == JAVA:
            spec = {"bootstrap": self._place.bootstrap, "topic": topic, "processes": 1}
            async with Program(self._work.fleet.on(nodes[0]), "consume", spec) as consume:
                self._seen.counted = await consume.until("done", timeout_s=self.patience_s)
            return
        async with contextlib.AsyncExitStack() as stack:
            readers = await self._readers(stack, topic, nodes, senders.CONFLUENT, _CHECK_GIVE_UP_S)
            for reader in readers:
                reader.command("go")
            self._seen.checked = await self._all_done(readers)


def _gave_up(consumers: Sequence[Event]) -> bool:
    """Whether one of them waited in vain: it got less than was sent, and knows not why."""
    return any(done.get("gave_up") for done in consumers)
