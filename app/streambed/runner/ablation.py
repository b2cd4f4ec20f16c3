"""Pipeline `ablation`: one stage of the pipeline, alone on its node, from a loaded topic."""

import contextlib
import statistics
import time
from dataclasses import replace

from streambed.experiment.placement import place
from streambed.gates import Reading, accounting, contention, stage
from streambed.gates.contention import CpuTimes
from streambed.pipelines import records
from streambed.results.measures import AblationMeasures
from streambed.results.steady import NoSteadyPart, Progress, Steady, find_steady, images_done
from streambed.runner import provenance, sampling, services, shaping, stages, topics
from streambed.runner.model import DeployedModel, deploy
from streambed.runner.pipeline import Outcome, Work
from streambed.runner.program import Event, Program

_START_TIMEOUT_S = 120.0
_STOP_TIMEOUT_S = 60.0


class AblationPipeline:
    """One attempt at a cell of pipeline `ablation`."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._cell = work.cell
        self._config = work.cell.ablation
        self._stage = stages.STAGES[self._config.stage]
        self._place = place(work.cell.streaming, work.fleet.inventory)
        self._broker = work.fleet.on(self._place.brokers[0])
        at_client = self._config.stage == "producer"
        self._node = work.fleet.on(self._place.producer if at_client else self._place.master)
        self._events: list[Event] = []
        self._loaded: Event = {}
        self._collected: Event = {}
        self._readings: list[Reading] = []
        self._measures = AblationMeasures()

    async def run(self) -> Outcome:
        """Load the topic, run the stage, judge it.

        Raises:
            CellFailure: a step failed; `partial` tells what is known.
        """
        work = self._work
        await services.use_workers(work.fleet, self._place.workers)
        model = await deploy(work.fleet, self._place, self._cell.streaming, work.display)
        work.record_facts(provenance.of_model(self._cell.streaming, model))
        async with services.brokers_running(work.fleet, self._place):
            await self._carry_out(model)
        self._keep()
        self._figures()
        self._judge()
        return self.partial()

    def partial(self) -> Outcome:
        """What is known, also of a cell that failed on the way."""
        return Outcome(self._measures, self._readings)

    async def _carry_out(self, model: DeployedModel) -> None:
        work, cell, bootstrap = self._work, self._cell, self._place.bootstrap
        images = topics.image_topic(work.name, self._config.partitions, self._place)
        results = topics.result_topic(work.name, self._place)
        dead = topics.dead_letter_topic(work.name, self._place)
        where = stages.Where(images["name"], results["name"], dead["name"], work.name)
        async with contextlib.AsyncExitStack() as stack:
            await shaping.set_rate(work.fleet, None)
            made = topics.existing(self._broker, bootstrap, (images, results, dead))
            await stack.enter_async_context(made)
            if self._stage.loaded:
                await self._load(stages.loading_spec(cell, self._place, model, where))
            collect = None
            if self._stage.results:
                spec = stages.collector_spec(cell, self._place, model, where)
                collect = await stack.enter_async_context(Program(self._broker, "collect", spec))
                await collect.until("ready", timeout_s=_START_TIMEOUT_S)
            await stack.enter_async_context(sampling.sampled(work.fleet, work.directory))
            work.display.stage(f"stage {self._config.stage}")
            spec = stages.stage_spec(cell, self._place, model, where)
            program = Program(self._node, self._stage.program, spec)
            await self._follow(await stack.enter_async_context(program))
            if collect is not None:
                collect.command("finish")
                self._collected = await collect.until("done", timeout_s=_STOP_TIMEOUT_S)
                raw = work.directory / "results.npz"
                await self._broker.get(self._collected["raw_path"], raw)

    async def _load(self, spec: Event) -> None:
        """Fill the topic from the broker's own node: nothing else runs there yet."""
        self._work.display.stage("loading the topic")
        async with Program(self._broker, "produce", spec) as produce:
            self._loaded = await produce.until("done", timeout_s=stages.DEADLINE_S)
            await produce.end(timeout_s=_STOP_TIMEOUT_S)

    async def _follow(self, program: Program) -> None:
        """Let the stage run to its last image, and read the processors' counters around it."""
        self._events = program.events
        await program.until("ready", timeout_s=_START_TIMEOUT_S)
        await self._until_done(program, self._warm_up_images)
        before, began = await self._cpu(), time.time()
        await self._until_done(program, self._cell.given_images)
        after, ended = await self._cpu(), time.time()
        if self._stage.program == "classify":
            program.command("stop")
        done = await program.until("done", timeout_s=_STOP_TIMEOUT_S)
        if self._stage.program == "classify":
            effective = done["effective_conf"]
            facts = provenance.of_spark(self._work.bed, self._cell.streaming, effective)
            self._work.record_facts(facts)
        self._take_cpu(before, after, began, ended)

    async def _until_done(self, program: Program, images: int) -> None:
        """Until the stage is done with so many images, as its events tell."""

        def reached() -> Event | None:
            done = sum(step.images for step in stages.progress_of(program.events))
            self._work.display.images(done, self._cell.given_images)
            ended = program.last("done") is not None
            return {"images": done} if ended or done >= images else None

        await program.until_true(reached, what=f"{images} images", timeout_s=stages.DEADLINE_S)

    async def _cpu(self) -> tuple[CpuTimes, ...]:
        return await contention.read(self._work.fleet.all())

    def _take_cpu(
        self,
        before: tuple[CpuTimes, ...],
        after: tuple[CpuTimes, ...],
        began: float,
        ended: float,
    ) -> None:
        taken = contention.taken(before, after, ended - began)
        limit = self._cell.gates.contended_above
        self._readings.append(contention.judge(taken, limit))
        sessions = self._work.fleet.all()
        index = sessions.index(self._node)
        early, late = before[index].node_s, after[index].node_s
        used = None if early is None or late is None else late - early
        progress = self._progress
        images = images_done(progress, ended) - images_done(progress, began)
        self._measures = replace(
            self._measures,
            steal=taken.steal,
            cpu_foreign=taken.foreign,
            cpu_pressure=taken.pressure,
            cpu_s_per_image=used / images if used is not None and images > 0 else None,
            cpu_share=used / (ended - began) if used is not None else None,
        )

    @property
    def _warm_up_images(self) -> int:
        return self._cell.warm_up.triggers * self._config.micro_batch_images

    @property
    def _progress(self) -> list[Progress]:
        return stages.progress_of(self._events)

    @property
    def _batches(self) -> list[Event]:
        return [event for event in self._events if event.get("event") == "batch"]

    def _keep(self) -> None:
        """The raw events of an attempt."""
        self._work.keep_events(loaded=self._loaded, stage=self._events, collected=self._collected)

    def _figures(self) -> None:
        name, collected = self._config.stage, self._collected
        counts = stages.counts_of(self._events)
        accuracy, mismatches = collected.get("accuracy"), collected.get("mismatches")
        if name in ("model", "chainer"):
            accuracy, mismatches = counts["correct"] / self._cell.given_images, counts["mismatches"]
        self._measures = replace(
            self._measures,
            bytes_read=counts["bytes"] if name in ("broker", "scan") else None,
            lost=collected.get("lost"),
            duplicates=collected.get("duplicates"),
            mismatches=mismatches,
            accuracy=accuracy,
        )
        try:
            steady = find_steady(self._progress, self._warm_up_images)
        except NoSteadyPart as error:
            self._readings.append(
                Reading("steady_part", ok=False, measured=error.message, expected="8 batches")
            )
            return
        self._measures = replace(
            self._measures,
            image_rate_per_s=steady.image_rate_per_s,
            steady_s=steady.span_s,
            steady_images=steady.images,
            warm_up_s=self._warm_up_s(steady),
            micro_batch_mean_s=self._micro_batch_mean_s(steady),
        )

    def _warm_up_s(self, steady: Steady) -> float:
        ready = next(event for event in self._events if event.get("event") == "ready")
        return float(steady.start_s - ready["at"])

    def _micro_batch_mean_s(self, steady: Steady) -> float | None:
        times = [
            batch["execution_s"]
            for batch in self._batches
            if steady.start_s < batch["finished_at"] <= steady.end_s
        ]
        return statistics.fmean(times) if times else None

    def _judge(self) -> None:
        """What the stage says of itself, against what its name promises."""
        name, images = self._config.stage, self._cell.given_images
        least = self._cell.gates.min_accuracy
        counts = stages.counts_of(self._events)
        found: list[Reading] = []
        if name in ("broker", "scan"):
            found += stage.read_every_byte(counts, images, self._cell.payload_bytes)
        elif name == "identity":
            found += stage.packed_every_image(counts, images, records.BYTES_PER_IMAGE)
        elif name in ("model", "chainer"):
            found += stage.labelled_every_image(counts, images, least)
        elif name == "producer":
            (done,) = (event for event in self._events if event.get("event") == "done")
            found.append(accounting.acknowledged(done["sent"], done["acked"]))
        else:
            loaded = self._loaded
            found += accounting.judge(loaded["sent"], loaded["acked"], self._collected, least)
        if self._batches:
            rows = [batch["rows"] for batch in self._batches]
            found.append(stage.batches_hold(rows, self._config.micro_batch_images))
        self._readings += found
