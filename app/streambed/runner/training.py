"""Pipeline `training`: one cell is one Spark application that prepares images and trains."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from streambed.experiment.content import training_images
from streambed.experiment.estimate import cell_s
from streambed.experiment.placement import Placement, place
from streambed.gates import Reading, contention, disturbance
from streambed.gates import training as gates
from streambed.gates.reading import failed_reasons
from streambed.pipelines.training.names import NETWORK, RANKED
from streambed.results import epochs
from streambed.results import training as figures
from streambed.results.epochs import EpochRun
from streambed.results.measures import TrainingMeasures
from streambed.runner import provenance, services
from streambed.runner.failure import CellFailure
from streambed.runner.model import deploy_dataset
from streambed.runner.pipeline import Outcome, Work
from streambed.runner.program import Event, Program
from streambed.runner.remote import Session
from streambed.runner.sweep import RUN_DIR

WEIGHTS = f"{NETWORK}.npz"
"""The trained weights, beside an attempt's raw samples."""

CHECKPOINT = "checkpoint.npz"
"""What a training that failed had reached, in the same place."""

_START_TIMEOUT_S = 400.0
_END_TIMEOUT_S = 120.0
_EVALUATE_TIMEOUT_S = 600.0
_COPY_TIMEOUT_S = 30.0

_LONGER = 4.0
"""A training may take so many times what the plan says, and at least `_LEAST_S`."""

_LEAST_S = 1800.0


class TrainingPipeline:
    """One attempt at a cell of pipeline `training`."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._config = work.cell.training
        self._place = place(work.cell.streaming, work.fleet.inventory)
        self._readings: list[Reading] = []
        self._measures = TrainingMeasures()
        self._dataset = ""

    async def run(self) -> Outcome:
        """Switch workers, train, evaluate what came out, judge it.

        Raises:
            CellFailure: a step failed; `partial` tells what is known.
        """
        work = self._work
        master = work.fleet.on(self._place.master)
        work.display.stage(f"{self._config.workers} workers")
        await services.use_workers(work.fleet, self._place.workers)
        self._dataset = await deploy_dataset([master], self._config.dataset)
        began = time.monotonic()
        async with self._program() as program:
            ready = await program.until("ready", timeout_s=_START_TIMEOUT_S)
            self._measures = TrainingMeasures(cold_start_s=time.monotonic() - began)
            try:
                done = await self._trained(program, ready)
            except CellFailure:
                self._keep_events(program)
                await self._keep_checkpoint(master)
                raise
            await program.end(timeout_s=_END_TIMEOUT_S)
        judged = await self._evaluated(done)
        self._judge(program, done, judged)
        return self.partial()

    def _keep_events(self, program: Program) -> None:
        self._work.keep_events(events=[e for e in program.events if e.get("event") != "beat"])

    async def _keep_checkpoint(self, master: Session) -> None:
        """Fetch what a training that failed has reached, where it came to the end of an epoch."""
        with contextlib.suppress(CellFailure, TimeoutError):
            async with asyncio.timeout(_COPY_TIMEOUT_S):
                await master.get(checkpoint_of(self._work), self._work.directory / CHECKPOINT)

    def partial(self) -> Outcome:
        """What is known, also of a cell that failed on the way."""
        return Outcome(self._measures, self._readings)

    @contextlib.asynccontextmanager
    async def _program(self) -> AsyncIterator[Program]:
        master = self._work.fleet.on(self._place.master)
        spec = training_spec(self._work, self._place, self._dataset)
        async with Program(master, "training", spec, self._show) as program:
            yield program

    def _show(self, event: Event) -> None:
        """Tell the user how far it is."""
        display, config = self._work.display, self._config
        kind = event.get("event")
        if kind == "submitted":
            display.stage("starting the application")
        elif kind == "ready":
            display.stage("preparing the images on Spark")
        elif kind == "prepared":
            display.stage(f"starting {config.all_ranks} ranks of {config.engine}")
        elif kind == "beat":
            display.images(event["images"], training_images(config.dataset))
        elif kind == "epoch":
            display.stage(_in_words(event, config.epochs))
        elif kind == "lost":
            who = "rank" if event["workers_stay"] else "worker"
            display.stage(f"a {who} was lost after epoch {event['epochs']}: resuming")

    async def _trained(self, program: Program, ready: Event) -> Event:
        """Follow the training to its end, and keep what it told."""
        work = self._work
        self._refuse_elsewhere(ready)
        effective = ready["effective_conf"]
        work.record_facts(provenance.of_training(work.bed, self._config, effective))
        sessions = work.fleet.all()
        lives = await disturbance.read(sessions)
        before, began = await contention.read(sessions), time.time()
        done = await program.until("done", timeout_s=longest_s(work) + _END_TIMEOUT_S)
        after, ended = await contention.read(sessions), time.time()
        lives_after = await disturbance.read(sessions)
        taken = contention.taken(before, after, ended - began)
        curve = [EpochRun.of_event(entry) for entry in done["curve"]]
        epochs.write(work.directory / epochs.FILE, curve)
        self._keep_events(program)
        self._readings += [
            contention.judge(taken, work.cell.gates.contended_above),
            # Executors that were replaced ended their stretch: told below.
            disturbance.judge(lives, lives_after, {}, {}, retried_records=0),
        ]
        if done["ranks"]:
            versions = done["ranks"][0]["versions"]
            work.record_facts(provenance.of_engine(self._config.engine, versions))
        if done["losses"]:
            self._readings.append(
                Reading(
                    "nothing_lost",
                    ok=False,
                    measured=done["losses"],
                    expected="no worker and no rank lost; the training was resumed",
                    flag="disturbed",
                )
            )
        self._measures = replace(
            self._measures,
            steal=taken.steal,
            cpu_foreign=taken.foreign,
            cpu_pressure=taken.pressure,
        )
        return done

    def _refuse_elsewhere(self, ready: Event) -> None:
        """Do not train for minutes where it would not count.

        Raises:
            CellFailure: the executors are not on the workers that the cell uses.
        """
        reading = gates.executors_act(ready["executors"], self._nodes)
        self._readings.append(reading)
        if not reading.ok:
            raise CellFailure("; ".join(failed_reasons([reading])))

    @property
    def _nodes(self) -> dict[str, str]:
        """Address → name of the workers that the cell uses."""
        return {node.bed_address: node.name for node in self._place.workers}

    async def _evaluated(self, done: Event) -> Event:
        """What the weights are worth; of an engine without a weights file what it says itself."""
        if done["out"] is None:
            return {**done, "loss": done["test_loss"]}
        work = self._work
        master = work.fleet.on(self._place.master)
        work.display.stage("evaluating the weights")
        await master.get(done["out"], work.directory / WEIGHTS)
        spec = {"model": {"kind": NETWORK, "weights": done["out"]}, "dataset": self._dataset}
        async with Program(master, "evaluate", spec) as program:
            judged = await program.until("done", timeout_s=_EVALUATE_TIMEOUT_S)
            await program.end(timeout_s=30)
        return judged

    def _judge(self, program: Program, done: Event, judged: Event) -> None:
        config, cell = self._config, self._work.cell
        images = training_images(config.dataset)
        steps = config.steps(images)
        prepared = program.last("prepared")
        if prepared is None:
            raise CellFailure("the images were trained, but never prepared")
        self._readings += [
            gates.shards_written(prepared, images, config.augment),
            gates.engine_acts(config.engine, done),
            gates.updates_act(done, steps),
            gates.images_trained(done, steps),
        ]
        if config.engine in RANKED:
            self._readings += [
                gates.ranks_act(config, done, self._nodes),
                gates.learnt_as_told(done["top1"], judged["top1"]),
            ]
        self._readings += gates.learnt(config, judged["top1"], cell.gates)
        assert self._measures.cold_start_s is not None
        found = figures.measures(done, judged, self._measures.cold_start_s)
        self._measures = replace(
            found,
            steal=self._measures.steal,
            cpu_foreign=self._measures.cpu_foreign,
            cpu_pressure=self._measures.cpu_pressure,
        )


def longest_s(work: Work) -> float:
    """How long a training may take, in seconds."""
    return max(_LEAST_S, _LONGER * cell_s(work.cell))


def checkpoint_of(work: Work) -> str:
    """Where the driver keeps the last checkpoint of an attempt, on the master's node."""
    return f"{RUN_DIR}/{work.name}-{CHECKPOINT}"


def training_spec(work: Work, placement: Placement, dataset: str) -> dict[str, Any]:
    """The spec of program `training`."""
    config = work.cell.training
    return {
        "master_url": placement.master_url,
        "driver_address": placement.master.bed_address,
        "name": work.name,
        "engine": config.engine,
        "out": f"{RUN_DIR}/{work.name}.npz",
        "checkpoint": checkpoint_of(work) if config.engine in RANKED else None,
        "dataset": dataset,
        "executors": config.workers,
        "ranks": config.ranks,
        "batch_size": config.batch_size,
        "epochs": config.epochs,
        "iterations": config.iterations,
        "augment": config.augment,
        "seed": config.seed,
        "deadline_s": longest_s(work),
    }


def _in_words(event: Event, epochs_asked: int) -> str:
    words = f"epoch {event['epoch']} of {epochs_asked}: loss {event['loss']:.4f}"
    if event.get("top1") is None:
        return words
    rate = event["images"] / event["train_s"]
    return f"{words}, top-1 {event['top1']:.4f}, {rate:,.0f} images/s"
