"""The Spark application of a batch on its bed: workers switched, driver started, jobs run by it."""

import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from streambed.experiment.batch import BatchConfiguration
from streambed.experiment.placement import Placement, place
from streambed.inventory import Node
from streambed.pipelines.locality import Locality
from streambed.runner import provenance, services
from streambed.runner.model import DeployedModel, deploy
from streambed.runner.pipeline import Work
from streambed.runner.program import Event, Program

_START_TIMEOUT_S = 300.0
_STOP_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Application:
    """One that is warm: every thread of every executor has done something."""

    program: Program
    ready: Event
    """What the driver said when it was warm."""
    workers: tuple[Node, ...]
    model: DeployedModel
    cold_start_s: float

    async def job(self, spec: dict[str, Any], timeout_s: float) -> Event:
        """Run one job; its `job` event.

        Raises:
            CellFailure: it failed, or took too long; then the application is of no more use.
        """
        self.program.command("job", **spec)
        return await self.program.until_true(
            lambda: self._job(spec["name"]),
            what=f"the end of job {spec['name']}",
            timeout_s=timeout_s,
        )

    def _job(self, name: str) -> Event | None:
        last = self.program.last("job")
        return last if last is not None and last["name"] == name else None


def locality_of(config: BatchConfiguration) -> Locality:
    """How the cell's application treats the place of data."""
    return Locality(config.locality_wait_s, config.locality_timer, config.prefer_node)


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
        "locality_wait_s": config.locality_wait_s,
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
    work.display.stage(f"{config.workers} workers")
    workers = placement.workers[: config.workers]
    await services.use_workers(work.fleet, workers)
    work.display.stage("starting the application")
    spec = application_spec(config, placement, model, work.cell.warm_up.prime_images)
    began = time.monotonic()
    async with Program(work.fleet.on(placement.master), "batch", spec) as program:
        ready = await program.until("ready", timeout_s=_START_TIMEOUT_S)
        cold_start_s = time.monotonic() - began
        work.record_facts(provenance.of_application(config, ready["effective_conf"]))
        yield Application(program, ready, workers, model, cold_start_s)
        program.command("stop")
        await program.end(timeout_s=_STOP_TIMEOUT_S)
