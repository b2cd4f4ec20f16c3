"""One cell of the streaming pipeline, from an idle bed to gated figures and back.

The order matters. Spark is warmed by images that do not count while nothing shapes the link; only
then is the link shaped, measured, loaded and measured again, so that start-up never mixes with
what is measured. Completion is a count, never a wait for some time.
"""

import asyncio
import contextlib
import json
from dataclasses import asdict, replace
from typing import Any

from streambed.experiment.length import images_at
from streambed.experiment.placement import Placement
from streambed.gates import contention, disturbance
from streambed.gates import goodput as goodputs
from streambed.pipelines.pacing import block_size, images_of_partitions
from streambed.pipelines.spark_conf import EVENTS
from streambed.results.files import write_text
from streambed.runner import (
    clocks,
    completion,
    heaps,
    rates,
    rooms,
    sampling,
    shaping,
    topics,
    warming,
)
from streambed.runner.link_check import Link
from streambed.runner.model import DeployedModel
from streambed.runner.observed import Observed
from streambed.runner.pipeline import Work
from streambed.runner.producing import producer_spec
from streambed.runner.program import Program
from streambed.runner.rate_search import Found, Host, RateSearch
from streambed.runner.sweep import RUN_DIR

# A driver on 0.3 of a core and executors on 0.2 are up after a minute.
START_TIMEOUT_S = 240.0
STOP_TIMEOUT_S = 60.0
# A producer may take this many times as long as it needs, before it is given up.
_PATIENCE = 4.0
_PATIENCE_FLOOR_S = 60.0


class StreamingCell:
    """The steps of one cell; `observed` holds what came so far, also when the cell failed."""

    def __init__(
        self,
        work: Work,
        placement: Placement,
        model: DeployedModel,
        observed: Observed,
        unshaped_rate_per_s: float,
    ) -> None:
        self.observed = observed
        self._fleet = work.fleet
        self._place = placement
        self._cell = work.cell
        self._config = work.cell.streaming
        self._model = model
        self._unshaped_rate_per_s = unshaped_rate_per_s
        self._name = name = work.name
        self._raw = work.directory
        self._display = work.display
        self._known = work.known
        self._client = work.fleet.on(placement.producer)
        self._broker = work.fleet.on(placement.brokers[0])
        self._master = work.fleet.on(placement.master)
        self._far_end = work.fleet.on(placement.far_end)
        self._images = topics.image_topic(name, self._config.given_partitions, placement)
        self._results = topics.result_topic(name, placement)
        self._dead_letters = topics.dead_letter_topic(name, placement)
        self._warming = warming.WarmingUp(work.cell, self._producer)

    async def run(self) -> None:
        """Run the cell.

        Raises:
            CellFailure: a step failed; what was observed until then stays in `observed`.
        """
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(shaping.set_rate, self._fleet, None)
            await shaping.set_rate(self._fleet, None)
            await stack.enter_async_context(
                topics.existing(
                    self._broker,
                    self._place.bootstrap,
                    (self._images, self._results, self._dead_letters),
                )
            )
            self._display.stage("starting Spark")
            first = self._collector(self._cell.images or 1, self._warming.most_images)
            collect = await stack.enter_async_context(first)
            classify = await stack.enter_async_context(self._classifier())
            await collect.until("ready", timeout_s=START_TIMEOUT_S)
            submitted = await classify.until("submitted", timeout_s=START_TIMEOUT_S)
            self.observed.submitted_at = submitted["at"]
            with self.observed.purpose():
                self.observed.ready = await classify.until("ready", timeout_s=START_TIMEOUT_S)
                self._display.stage("warming up")
                self.observed.first_result_at = await self._warming.run(collect, classify)
                await self._shape_and_measure("before")
            if self._config.sustainable_share is None:
                assert self._cell.images is not None
                self.observed.images = self._cell.images
                self.observed.rate_per_s = self._config.offered_rate_images_per_s
            else:
                with self.observed.purpose():
                    await self._search(self._config.sustainable_share, classify)
                collect.command("finish")
                await collect.end(timeout_s=STOP_TIMEOUT_S)
                another = self._collector(
                    self.observed.images, self._uncounted_images, from_end=True
                )
                collect = await stack.enter_async_context(another)
                await collect.until("ready", timeout_s=START_TIMEOUT_S)
            await self._require_room()
            async with self._sampling():
                with self.observed.purpose():
                    classify = await self._measured_phase(collect, classify, stack)
            with self.observed.purpose():
                await self._shape_and_measure("after")
            await self._finish(collect, classify)

    async def _require_room(self) -> None:
        partitions = self._images["partitions"]
        images = images_of_partitions(self.observed.images, block_size(partitions), partitions)
        needed = rooms.payload_of_brokers(
            self._place.brokers, self._images["replication"], images, self._cell.payload_bytes
        )
        await rooms.require(self._fleet, needed)

    def _collector(self, images: int, uncounted: int, *, from_end: bool = False) -> Program:
        warm_up = {"first": warming.FIRST_ID, "count": uncounted}
        return Program(
            self._broker,
            "collect",
            {
                "bootstrap": self._place.bootstrap,
                "result_topic": self._results["name"],
                "first_id": 0,
                "count": images,
                "from_end": from_end,
                "warm_up": [warm_up],
                "reference": self._model.reference_on_node,
                "dataset": self._model.dataset_on_node,
                "raw_path": f"{RUN_DIR}/{self._name}.npz",
                "image_topic": self._images["name"],
                "dead_letter_topic": self._dead_letters["name"],
            },
            lambda event: self._display.images(event.get("unique", 0), images),
        )

    def _classifier(self) -> Program:
        return Program(
            self._master,
            "classify",
            {
                "bootstrap": self._place.bootstrap,
                "topic": self._images["name"],
                "result_topic": self._results["name"],
                "dead_letter_topic": self._dead_letters["name"],
                "master_url": self._place.master_url,
                "driver_address": self._place.master.bed_address,
                "model": self._model.spec,
                "dataset": self._model.dataset_on_node,
                "trigger_s": self._config.trigger_s,
                "batching": self._config.batching,
                "conversion": self._config.conversion,
                "calls": self._config.calls,
                "settings": self._config.spark_settings,
                "executors": len(self._place.workers),
                "cores_per_executor": self._config.threads,
                **self._pages(),
                "run_dir": f"{RUN_DIR}/{self._name}",
            },
        )

    def _pages(self) -> dict[str, Any]:
        """What the factor `spark_pages` changes of the classifier's spec."""
        if self._config.spark_pages == "off":
            return {}
        return {"event_log_dir": EVENTS, "conf": {"spark.ui.enabled": "true"}}

    def _producer(
        self,
        first_id: int,
        count: int,
        deadline_s: float,
        rate_per_s: float | None,
        raw_path: str | None = None,
    ) -> Program:
        spec = producer_spec(
            self._config,
            self._place,
            self._model.dataset_on_node,
            self._images["name"],
            first_id=first_id,
            count=count,
            deadline_s=deadline_s,
            rate_per_s=rate_per_s,
            raw_path=raw_path,
        )
        return Program(self._client, "produce", spec)

    @property
    def _uncounted_images(self) -> int:
        """Images of the warm-up and of the search, as far as it has come."""
        found = self.observed.found
        return self._warming.images + (0 if found is None else found.images)

    async def _search(self, share: float, classify: Program) -> None:
        """Find the sustainable rate; what the cell offers follows from it."""
        host = Host(self._fleet.all(), self._cell.gates.contended_above)
        trigger_s = self._config.trigger_s
        searching = RateSearch(self._producer, classify, trigger_s, self._display, host)
        sent = self._uncounted_images
        highest = rates.ceiling(
            self._config, self._cell.payload_bytes, self.observed.goodput, self._unshaped_rate_per_s
        )
        # With a fault or without one: the same pipeline, whose rate one cell of the run has found.
        alike = replace(self._config, fault=None, images=None, duration_s=None)
        key = ("sustainable rate", self._cell.bed, alike)
        if self._config.fault is not None and key in self._known:
            found = Found(self._known[key], highest, at_ceiling=False, steps=0, images=0)
        else:
            try:
                found = await searching.run(warming.FIRST_ID + sent, sent, highest)
            finally:
                probes = [asdict(probe) for probe in searching.probes]
                evidence = {"ceiling": asdict(highest), "probes": probes}
                write_text(self._raw / "search.json", json.dumps(evidence, indent=1) + "\n")
            self.observed.readings += searching.readings
            self._known[key] = found.rate_per_s
        self.observed.found = found
        rate = share * found.rate_per_s
        self.observed.rate_per_s = rate
        images = self._cell.images or images_at(rate, self._config, self._cell.warm_up)
        self.observed.images = images

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
        link = Link(self._fleet, self._client, self._far_end, rate, state["mtu_bytes"])
        measured, readings = await link.check(self._cell.gates, when)
        self.observed.readings += readings
        if when == "before":
            self.observed.goodput = measured
            self.observed.readings.append(await goodputs.management_is_unshaped(self._client))

    def _sampling(self) -> contextlib.AbstractAsyncContextManager[None]:
        return sampling.sampled(self._fleet, self._raw)

    @property
    def _patience_s(self) -> float:
        """How long the producer of the counted images may take."""
        count, rate = self.observed.images, self.observed.rate_per_s
        own_s = count / self._unshaped_rate_per_s
        sending_s = rates.sending_s(self._config, self._cell.payload_bytes, count, rate)
        return _PATIENCE * max(own_s, sending_s) + _PATIENCE_FLOOR_S

    async def _measured_phase(
        self, collect: Program, classify: Program, _stack: contextlib.AsyncExitStack
    ) -> Program:
        """Send and classify what counts; returns the classifier that ended it."""
        count, rate = self.observed.images, self.observed.rate_per_s
        config, payload_bytes = self._config, self._cell.payload_bytes
        patience_s = self._patience_s
        closed = rates.closed_mode_rate_per_s(config, payload_bytes, self.observed.goodput)
        if rate is not None:
            await self._read_clocks()
        lives_before = await disturbance.read(self._fleet.all())
        acks = None if rate is None else f"{RUN_DIR}/{self._name}-acks.npz"
        self._display.stage("classifying")
        collecting = heaps.collected(self._fleet, self._place.nodes, self._raw)
        async with contention.watching(self._fleet.all()) as watched, collecting:
            async with self._producer(0, count, patience_s, rate or closed, acks) as produce:
                done = asyncio.create_task(produce.until("done", timeout_s=patience_s))
                self.observed.produced = await completion.unless_ended(done, classify, collect)
                await produce.end(timeout_s=STOP_TIMEOUT_S)
            read = self.observed.produced["acked"] + self._uncounted_images
            await completion.until_complete(collect, classify, read)
        self.observed.taken = watched.taken
        self.observed.lives = (lives_before, await disturbance.read(self._fleet.all()))
        if acks is not None:
            await self._client.get(acks, self._raw / "acks.npz")
            await self._read_clocks()
        return classify

    async def _read_clocks(self) -> None:
        """Of the nodes whose times make up a latency, and of those a fault may be made on."""
        place = self._place
        nodes = (place.producer, *place.brokers, place.master, *place.workers)
        self.observed.clocks.append(await clocks.read(self._fleet, nodes))

    async def _finish(self, collect: Program, classify: Program) -> None:
        self._display.stage("collecting")
        classify.command("stop")
        stopped = await classify.until("done", timeout_s=STOP_TIMEOUT_S)
        self.observed.stopped = stopped
        self.observed.effective = {
            "spark": stopped["effective_conf"],
            "source": stopped["source_options"],
            "sink": stopped["sink_options"],
        }
        self.observed.batches = [e for e in classify.events if e.get("event") == "batch"]
        collect.command("finish")
        self.observed.collected = await collect.until("done", timeout_s=STOP_TIMEOUT_S)
        raw_on_node = self.observed.collected["raw_path"]
        await self._broker.get(raw_on_node, self._raw / "results.npz")
        letters_on_node = self.observed.collected["letters_path"]
        if letters_on_node is not None:
            await self._broker.get(letters_on_node, self._raw / "dead-letters.jsonl")
