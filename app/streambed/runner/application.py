"""The Spark application of a batch on its bed: workers switched, driver started, jobs run by it."""

import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from streambed.experiment.batch import BatchConfiguration
from streambed.experiment.placement import Placement, place
from streambed.inventory import Node
from streambed.pipelines.locality import Locality, wait_setting
from streambed.runner import provenance, services
from streambed.runner.model import DeployedModel, deploy
from streambed.runner.pipeline import Work
from streambed.runner.program import Event, Program

_START_TIMEOUT_S = 300.0
_WARM_TIMEOUT_S = 120.0
_STOP_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Application:
    """One that is warm: every thread of every executor has done something."""

    program: Program
    ready: Event
    """What the driver said when it was warm."""
    workers: tuple[Node, ...]
    model: DeployedModel
    cold_start_s: float

    async def warm(self, name: str) -> None:
        """Let every thread have a Python worker with its model again; `name` is the next job's.

        Raises:
            CellFailure: an executor is gone, or it took too long.
        """
        self.program.command("warm", name=name)
        await self._answer("warm", name, _WARM_TIMEOUT_S)

    async def job(self, spec: dict[str, Any], timeout_s: float) -> Event:
        """Run one job; its `job` event.

        Raises:
            CellFailure: it failed, or took too long; then the application is of no more use.
        """
        self.program.command("job", **spec)
        return await self._answer("job", spec["name"], timeout_s)

    async def _answer(self, kind: str, name: str, timeout_s: float) -> Event:
        def answer() -> Event | None:
            last = self.program.last(kind)
            return last if last is not None and last["name"] == name else None

        return await self.program.until_true(
            answer, what=f"`{kind}` of {name}", timeout_s=timeout_s
        )


def settings_of(config: BatchConfiguration) -> dict[str, str]:
    """What a cell asks of Spark: the application's part and the job's."""
    ways = Locality(config.locality_timer, config.prefer_node)
    return {**wait_setting(config.locality_wait_s), **ways.settings()}


def application_spec(
    config: BatchConfiguration, placement: Placement, model: DeployedModel, warm_up_images: int
) -> Event:
    """The spec of program `batch`."""
    return {
        "master_url": placement.master_url,
        "driver_address": placement.master.bed_address,
        "model": model.spec,
        "reference": model.reference_on_node,
        "dataset": model.dataset_on_node,
        "locality_timer": config.locality_timer,
        "prefer_node": config.prefer_node,
        "executors": config.workers,
        "cores_per_executor": config.threads,
        "key_seed": config.key_seed,
        "warm_up_images": warm_up_images,
    }


@contextlib.asynccontextmanager
async def running(work: Work) -> AsyncIterator[Application]:
    """An application for a cell and those that share it; ended when the context is left.

    Raises:
        CellFailure: the workers, the driver or an executor do not start.
    """
    config, streaming = work.cell.batch, work.cell.streaming
    placement = place(streaming, work.fleet.inventory)
    model = await deploy(work.fleet, placement, streaming, work.display)
    work.record_facts(provenance.of_model(streaming, model))
    work.display.stage("switching workers")
    await services.use_workers(work.fleet, placement.workers)
    work.display.stage("starting the application")
    spec = application_spec(config, placement, model, work.cell.warm_up.prime_images)
    began = time.monotonic()
    async with Program(work.fleet.on(placement.master), "batch", spec) as program:
        ready = await program.until("ready", timeout_s=_START_TIMEOUT_S)
        cold_start_s = time.monotonic() - began
        effective = ready["effective_conf"]
        work.record_facts(provenance.of_application(work.bed, config, effective))
        yield Application(program, ready, placement.workers, model, cold_start_s)
        program.command("stop")
        await program.end(timeout_s=_STOP_TIMEOUT_S)
