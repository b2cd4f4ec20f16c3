"""One cell of the streaming pipeline, from an idle bed to gated figures and back.

The order matters. Spark is warmed by images that do not count while nothing shapes the link; only
then is the link shaped, measured, loaded and measured again, so that start-up never mixes with
what is measured. Completion is a count, never a wait for some time.
"""

import asyncio
import contextlib
import functools
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streambed import link
from streambed.experiment.cells import Cell
from streambed.experiment.estimate import UNSHAPED_IMAGES_PER_S
from streambed.experiment.factors import StreamingConfiguration
from streambed.experiment.length import arrival_images_per_s
from streambed.experiment.placement import Placement
from streambed.gates import Reading, accounting, contention, driver, trigger
from streambed.gates import goodput as goodputs
from streambed.runner import services, shaping
from streambed.runner.display import Display
from streambed.runner.failure import CellFailure
from streambed.runner.model import DeployedModel
from streambed.runner.program import Event, Program
from streambed.runner.remote import RUN_USER, Fleet

TOPIC_PREFIX = "streambed-"
RUN_DIR = "/var/lib/streambed/runs"
PRIME_FIRST_ID = 1 << 62
"""Ids of the images that warm the pipeline lie far above those that count."""

_START_TIMEOUT_S = 120.0
_PRIME_TIMEOUT_S = 120.0
_STOP_TIMEOUT_S = 60.0
# A cell may take this many times as long as the link needs, before it is given up.
_PATIENCE = 4.0
_PATIENCE_FLOOR_S = 60.0
_FETCH_GRACE_S = 10.0
PROBE_IMAGES = 60_000
MIN_BATCH_BYTES = 16 * 1024
MAX_BATCH_BYTES = 256 * 1024
MAX_QUEUE_BYTES = 4 * 1024 * 1024


@dataclass
class Observed:
    """Everything a cell gave, before figures are computed from it."""

    cell: Cell
    produced: Event = field(default_factory=dict)
    collected: Event = field(default_factory=dict)
    batches: list[Event] = field(default_factory=list)
    submitted_at: float | None = None
    first_result_at: float | None = None
    goodput: goodputs.Goodput | None = None
    readings: list[Reading] = field(default_factory=list)
    taken: contention.Taken | None = None
    effective: dict[str, Any] = field(default_factory=dict)
    """Configuration that Spark reports as in effect."""


class StreamingCell:
    """Runs one cell; `observed` holds what came so far, also when the cell failed."""

    def __init__(
        self,
        fleet: Fleet,
        placement: Placement,
        cell: Cell,
        model: DeployedModel,
        name: str,
        raw: Path,
        display: Display,
    ) -> None:
        self.observed = Observed(cell)
        self._fleet = fleet
        self._place = placement
        self._cell = cell
        self._config: StreamingConfiguration = cell.streaming
        self._model = model
        self._name = name
        self._raw = raw
        self._display = display
        self._client = fleet.on(placement.producer)
        self._broker = fleet.on(placement.brokers[0])
        self._master = fleet.on(placement.master)

    @property
    def _topics(self) -> tuple[str, str]:
        return f"{TOPIC_PREFIX}images-{self._name}", f"{TOPIC_PREFIX}results-{self._name}"

    async def run(self) -> Observed:
        """Run the cell.

        Raises:
            CellFailure: a step failed; what was observed until then stays in `observed`.
        """
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(shaping.set_rate, self._fleet, None)
            await shaping.set_rate(self._fleet, None)
            await stack.enter_async_context(self._topics_exist())
            self._display.stage("starting Spark")
            collect = await stack.enter_async_context(self._collector())
            classify = await stack.enter_async_context(self._classifier())
            await collect.until("ready", timeout_s=_START_TIMEOUT_S)
            submitted = await classify.until("submitted", timeout_s=_START_TIMEOUT_S)
            self.observed.submitted_at = submitted["at"]
            await classify.until("ready", timeout_s=_START_TIMEOUT_S)
            await self._warm_up(collect, classify)
            await self._shape_and_measure("before")
            await self._measured_phase(collect, classify)
            await self._shape_and_measure("after")
            await self._finish(collect, classify)
        return self.observed

    def _collector(self) -> Program:
        _, results = self._topics
        warm_up = {"first": PRIME_FIRST_ID, "count": self._warm_up_images}
        return Program(
            self._broker,
            "collect",
            {
                "bootstrap": self._place.bootstrap,
                "result_topic": results,
                "first_id": 0,
                "count": self._cell.images,
                "warm_up": [warm_up],
                "reference": self._model.reference_on_node,
                "dataset": self._model.dataset_on_node,
                "raw_path": f"{RUN_DIR}/{self._name}.npz",
            },
            lambda event: self._display.images(event.get("unique", 0), self._cell.images),
        )

    def _classifier(self) -> Program:
        images, results = self._topics
        return Program(
            self._master,
            "classify",
            {
                "bootstrap": self._place.bootstrap,
                "topic": images,
                "result_topic": results,
                "master_url": self._place.master_url,
                "driver_address": self._place.master.bed_address,
                "model": self._model.spec,
                "dataset": self._model.dataset_on_node,
                "trigger_s": self._config.trigger_s,
                "partitions": self._config.partitions,
                "executors": len(self._place.workers),
                "run_dir": f"{RUN_DIR}/{self._name}",
            },
        )

    def _producer(
        self, topic: str, first_id: int, count: int, deadline_s: float, rate_per_s: float | None
    ) -> Program:
        config = self._config
        return Program(
            self._client,
            "produce",
            {
                "bootstrap": self._place.bootstrap,
                "topic": topic,
                "producer": config.producer,
                "dataset": self._model.dataset_on_node,
                "first_id": first_id,
                "count": count,
                "rate_per_s": rate_per_s,
                "config": sender_config(config),
                "deadline_s": deadline_s,
            },
        )

    @contextlib.asynccontextmanager
    async def _topics_exist(self) -> Any:
        images, results = self._topics
        replication = min(3, len(self._place.brokers))
        create = [
            {"name": images, "partitions": self._config.partitions, "replication": replication},
            {
                "name": results,
                "partitions": 1,
                "replication": replication,
                # The append time of a result is the broker's own clock, not the sink's.
                "config": {"message.timestamp.type": "LogAppendTime"},
            },
        ]
        await self._change_topics(create=create)
        try:
            yield
        finally:
            await self._change_topics(delete=[images, results])

    async def _change_topics(self, **change: Any) -> None:
        spec = {"bootstrap": self._place.bootstrap, **change}
        async with Program(self._broker, "topics", spec) as topics:
            await topics.until("done", timeout_s=_START_TIMEOUT_S)

    async def _warm_up(self, collect: Program, classify: Program) -> None:
        """Classify images that do not count: a few to load everything, then at the cell's rate.

        Only batches of the cell's own size and pace bring all code that they use to its speed.
        """
        self._display.stage("warming up")
        first_id = PRIME_FIRST_ID
        for count, rate in self._warm_up_phases():
            images, _ = self._topics
            pace = min(rate or UNSHAPED_IMAGES_PER_S, UNSHAPED_IMAGES_PER_S)
            patience_s = _PRIME_TIMEOUT_S + _PATIENCE * count / pace
            producer = self._producer(images, first_id, count, patience_s, rate)
            async with producer as prime:
                await prime.until("done", timeout_s=patience_s)
            first_id += count
            seen = asyncio.create_task(
                collect.until_true(
                    functools.partial(_warmed_up, collect, first_id - PRIME_FIRST_ID),
                    what=f"results of {first_id - PRIME_FIRST_ID} warm-up images",
                    timeout_s=patience_s,
                )
            )
            event = await _unless_ended(seen, classify)
            if self.observed.first_result_at is None:
                self.observed.first_result_at = event["first_result_at"]

    def _warm_up_phases(self) -> list[tuple[int, float | None]]:
        """Images of each phase, and their rate (None: all at once)."""
        warm_up = self._cell.warm_up
        rate = arrival_images_per_s(self._config, self._cell.payload_bytes)
        phases: list[tuple[int, float | None]] = [(warm_up.prime_images, None)]
        # No faster than can be classified, or the rehearsal would end in a backlog.
        pace = min(rate or UNSHAPED_IMAGES_PER_S, UNSHAPED_IMAGES_PER_S)
        phases.append((round(warm_up.rehearse_s * pace), pace))
        return [phase for phase in phases if phase[0]]

    @property
    def _warm_up_images(self) -> int:
        return sum(count for count, _ in self._warm_up_phases())

    async def _shape_and_measure(self, when: str) -> None:
        bandwidth = self._config.bandwidth_mbit_per_s
        if bandwidth is None:
            return
        rate = bandwidth * 1e6
        self._display.stage(f"measuring the link ({when})")
        if when == "before":
            await shaping.set_rate(self._fleet, rate)
        state = await shaping.show(self._client)
        # After the cell nothing is set again: what is there now is what the images went through.
        measured = await goodputs.measure(
            self._client, self._master, rate, self._cell.gates.goodput_s
        )
        self.observed.readings += goodputs.judge(
            measured, rate, state["mtu_bytes"], self._cell.gates.goodput_tolerance, when
        )
        if when == "before":
            self.observed.goodput = measured
            self.observed.readings.append(await goodputs.management_is_unshaped(self._client))

    async def _measured_phase(self, collect: Program, classify: Program) -> None:
        images, _ = self._topics
        count = self._cell.images
        patience_s = _PATIENCE * self._sending_s() + _PATIENCE_FLOOR_S
        cpu_before = await contention.read(self._fleet.all())
        began = time.monotonic()
        self._display.stage("classifying")
        rate = self._config.offered_rate_images_per_s
        async with self._producer(images, 0, count, patience_s, rate) as produce:
            done = asyncio.create_task(produce.until("done", timeout_s=patience_s))
            self.observed.produced = await _unless_ended(done, classify, collect)
            await produce.end(timeout_s=_STOP_TIMEOUT_S)
        await self._until_complete(collect, classify, patience_s)
        took_s = time.monotonic() - began
        cpu_after = await contention.read(self._fleet.all())
        self.observed.taken = contention.taken(cpu_before, cpu_after, took_s)

    async def _until_complete(self, collect: Program, classify: Program, patience_s: float) -> None:
        """Until every id has a result, or Spark has read every image and one is still missing."""
        expected = self.observed.produced["acked"] + self._warm_up_images

        def all_read() -> Event | None:
            read = sum(e["rows"] for e in classify.events if e.get("event") == "batch")
            return {"rows": read} if read >= expected else None

        complete = asyncio.create_task(collect.until("complete", timeout_s=patience_s))
        read = asyncio.create_task(
            classify.until_true(all_read, what=f"{expected} images read", timeout_s=patience_s)
        )
        try:
            await asyncio.wait([complete, read], return_when=asyncio.FIRST_COMPLETED)
            if not complete.done():
                read.result()
                # All results are appended by now: what the collector has yet to fetch is seconds.
                await asyncio.wait([complete], timeout=_FETCH_GRACE_S)
            if complete.done():
                complete.result()
        finally:
            for task in (complete, read):
                task.cancel()
            await asyncio.gather(complete, read, return_exceptions=True)

    @property
    def _fills_link(self) -> bool:
        """Closed mode, uncompressed: the link alone should set the pace."""
        config = self._config
        return config.offered_rate_images_per_s is None and config.compression == "none"

    def _sending_s(self) -> float:
        """How long the link or the offered rate needs for the cell's images."""
        times = [self._cell.images / UNSHAPED_IMAGES_PER_S]
        config = self._config
        if config.bandwidth_mbit_per_s is not None:
            expected = link.expected_goodput_bit_per_s(config.bandwidth_mbit_per_s * 1e6, 1500)
            times.append(self._cell.images * self._cell.payload_bytes * 8 / expected)
        if config.offered_rate_images_per_s is not None:
            times.append(self._cell.images / config.offered_rate_images_per_s)
        return max(times)

    async def _finish(self, collect: Program, classify: Program) -> None:
        self._display.stage("collecting")
        classify.command("stop")
        stopped = await classify.until("done", timeout_s=_STOP_TIMEOUT_S)
        self.observed.effective = {
            "spark": stopped["effective_conf"],
            "source": stopped["source_options"],
            "sink": stopped["sink_options"],
        }
        self.observed.batches = [e for e in classify.events if e.get("event") == "batch"]
        collect.command("finish")
        self.observed.collected = await collect.until("done", timeout_s=_STOP_TIMEOUT_S)
        raw_on_node = self.observed.collected["raw_path"]
        await self._broker.get(raw_on_node, self._raw / "results.npz")

    def judge(self, unshaped_rate_per_s: float, send_rate_per_s: float) -> list[Reading]:
        """All readings of a cell that ran to its end, those taken on the way included."""
        seen = self.observed
        produced = seen.produced
        readings = list(seen.readings)
        readings += accounting.judge(
            produced["sent"], produced["acked"], seen.collected, self._cell.gates.min_accuracy
        )
        readings.append(
            trigger.acts(
                [b["started_at"] for b in seen.batches],
                [b["execution_s"] for b in seen.batches],
                self._config.trigger_s,
            )
        )
        gates = self._cell.gates
        readings.append(
            driver.headroom(unshaped_rate_per_s, send_rate_per_s, gates.driver_headroom)
        )
        if seen.goodput is not None and self._fills_link:
            link_rate = seen.goodput.up_mbit_per_s * 1e6 / 8 / self._cell.payload_bytes
            readings.append(driver.filled_link(send_rate_per_s, link_rate))
        if seen.taken is not None:
            readings.append(contention.judge(seen.taken, gates.contended_above))
        return readings


def sender_config(config: StreamingConfiguration) -> dict[str, Any]:
    """Settings of the producer's client.

    A slow link gets small batches and a short queue: images are to arrive evenly, and what waits
    in the client after the last send would be an idle producer on a busy link.
    """
    rate = config.bandwidth_mbit_per_s
    if rate is None:
        batch_bytes, queue_bytes = MAX_BATCH_BYTES, MAX_QUEUE_BYTES
    else:
        bytes_per_s = rate * 1e6 / 8
        batch_bytes = round(min(MAX_BATCH_BYTES, max(MIN_BATCH_BYTES, 0.03 * bytes_per_s)))
        queue_bytes = round(min(MAX_QUEUE_BYTES, max(4 * batch_bytes, 0.3 * bytes_per_s)))
    return {
        "batch_bytes": batch_bytes,
        "queue_bytes": queue_bytes,
        "compression": config.compression,
    }


def _warmed_up(collect: Program, count: int) -> Event | None:
    """The collector's newest count, once it has seen `count` warm-up images."""
    newest = collect.last("progress")
    return newest if newest is not None and newest["warm_up"] >= count else None


async def _unless_ended(waiting: "asyncio.Task[Event]", *others: Program) -> Event:
    """Wait for `waiting`, but not on when one of the other programs ends before it."""
    watchers = [asyncio.create_task(program.ended(), name=program.name) for program in others]
    try:
        await asyncio.wait([waiting, *watchers], return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            return waiting.result()
        for watcher in watchers:
            if watcher.done():
                raise CellFailure(watcher.result())
        raise AssertionError("asyncio.wait returned with nothing done")
    finally:
        for task in (waiting, *watchers):
            task.cancel()
        await asyncio.gather(waiting, *watchers, return_exceptions=True)


async def sweep(fleet: Fleet, bootstrap: str) -> None:
    """Put the bed back as a cell expects it, whatever a killed run left: link, topics, files."""
    await shaping.set_rate(fleet, None)
    for node in fleet.inventory.group("kafka_standby"):
        await services.stop(fleet.on(node), "kafka")
    for session in fleet.all():
        await session.run(["pkill", "-x", "-u", RUN_USER, "iperf3"], check=False)
    spec = {"bootstrap": bootstrap, "delete_prefixes": [TOPIC_PREFIX]}
    async with Program(fleet.on(fleet.inventory.group("kafka_brokers")[0]), "topics", spec) as old:
        await old.until("done", timeout_s=_START_TIMEOUT_S)
    for session in fleet.all():
        await session.run(["rm", "-rf", RUN_DIR])


async def probe_producer(
    fleet: Fleet, placement: Placement, config: StreamingConfiguration, dataset: str, name: str
) -> float:
    """The producer's own rate, images/s, with nothing shaped and nothing else to do.

    Raises:
        CellFailure: it could not be measured.
    """
    await shaping.set_rate(fleet, None)
    broker = fleet.on(placement.brokers[0])
    topic = f"{TOPIC_PREFIX}probe-{name}"
    partitions = {"name": topic, "partitions": config.partitions}
    topics = {"bootstrap": placement.bootstrap}
    async with Program(broker, "topics", topics | {"create": [partitions]}) as create:
        await create.until("done", timeout_s=_START_TIMEOUT_S)
    spec = {
        "bootstrap": placement.bootstrap,
        "topic": topic,
        "producer": config.producer,
        "dataset": dataset,
        "count": PROBE_IMAGES,
        "config": sender_config(config),
        "deadline_s": _PRIME_TIMEOUT_S,
    }
    try:
        async with Program(fleet.on(placement.producer), "produce", spec) as produce:
            done = await produce.until("done", timeout_s=_PRIME_TIMEOUT_S)
            await produce.end(timeout_s=_STOP_TIMEOUT_S)
    finally:
        async with Program(broker, "topics", topics | {"delete": [topic]}) as delete:
            await delete.until("done", timeout_s=_START_TIMEOUT_S)
    return float(done["acked"] / (done["last_ack_at"] - done["first_send_at"]))
