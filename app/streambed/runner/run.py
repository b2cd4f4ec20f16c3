"""One execution of an experiment: its cells in order, each a row, whatever happens to it."""

import asyncio
import contextlib
import json
import subprocess
import sys
import time
import traceback
from collections.abc import AsyncIterator, Callable, Hashable, Mapping, Sequence
from pathlib import Path

from rich.markup import escape

from streambed import inventory as inventories
from streambed import paths
from streambed.beds import lifecycle, locks
from streambed.console import err, say, step, warn
from streambed.errors import StreambedError
from streambed.experiment.ablation import AblationConfiguration
from streambed.experiment.batch import BatchConfiguration
from streambed.experiment.estimate import costs_s
from streambed.experiment.factors import StreamingConfiguration
from streambed.experiment.kafka import CamerasConfiguration, KafkaConfiguration
from streambed.experiment.order import Execution
from streambed.experiment.training import TrainingConfiguration
from streambed.gates.reading import Reading, failed_reasons, raised_flags
from streambed.inventory import Inventory
from streambed.pipelines.training.names import NETWORK
from streambed.results.files import write_text
from streambed.results.measures import Measures
from streambed.results.publish import publish
from streambed.results.row import Flag, Row, Status
from streambed.results.writer import Attempt, RunWriter
from streambed.runner import provenance, services, shaping
from streambed.runner.ablation import AblationPipeline
from streambed.runner.batch import BatchPipeline
from streambed.runner.cameras import CamerasPipeline
from streambed.runner.display import Display
from streambed.runner.failure import BedFailure, CellFailure
from streambed.runner.kafka import KafkaPipeline
from streambed.runner.kept import Kept
from streambed.runner.pipeline import PipelineCell, Work
from streambed.runner.remote import Fleet, connect
from streambed.runner.streaming import StreamingPipeline
from streambed.runner.sweep import sweep
from streambed.runner.training import WEIGHTS, TrainingPipeline

PIPELINES: Mapping[str, Callable[[Work], PipelineCell]] = {
    StreamingConfiguration.pipeline: StreamingPipeline,
    AblationConfiguration.pipeline: AblationPipeline,
    BatchConfiguration.pipeline: BatchPipeline,
    KafkaConfiguration.pipeline: KafkaPipeline,
    CamerasConfiguration.pipeline: CamerasPipeline,
    TrainingConfiguration.pipeline: TrainingPipeline,
}
"""What carries out a cell of each pipeline that an experiment can name."""

_ATTEMPTS_WHEN_CONTENDED = 3


class Runner:
    """Carries out what is pending of a run, bed by bed."""

    def __init__(self, writer: RunWriter) -> None:
        self._writer = writer
        self._known: dict[Hashable, float] = {}
        self._expected_s: dict[tuple[str, int], float] = {}
        """What the plan says that each pending execution takes."""

    def run(self) -> bool:
        """Run everything; True when every execution of the run is ok now."""
        pending = self._writer.pending()
        say(f"{len(pending)} of {len(self._writer.executions)} cells to run")
        # One bed after the other: their quotas together would be more than the host has.
        beds = list(dict.fromkeys(execution.cell.bed for execution in pending))
        expected_s = costs_s(pending)
        self._expected_s = {e.key: cost_s for e, cost_s in zip(pending, expected_s, strict=True)}
        with Display(len(pending), sum(expected_s)) as display:
            for bed in beds:
                inventory = inventories.load(bed)
                bring_up(inventory)
                todo = [e for e in pending if e.cell.bed == bed]
                what = f"bed {inventory.name}"
                with locks.exclusive(_bed_lock(inventory), what=what, command="run"):
                    asyncio.run(self._on_bed(inventory, todo, display))
        left = self._writer.pending()
        if not left:
            self._writer.finish()
        return not left

    async def _on_bed(
        self, inventory: Inventory, todo: Sequence[Execution], display: Display
    ) -> None:
        queue = list(todo)
        facts_known = False
        while queue:
            try:
                async with connect(inventory) as fleet:
                    if not facts_known:
                        await shaping.refuse_rates(fleet, _rates(todo))
                        self._writer.record_facts(await provenance.gather(fleet))
                        facts_known = True
                    await sweep(fleet)
                    async with _all_workers_after(fleet), Kept() as kept:
                        while queue:
                            lost = await self._execute(fleet, kept, queue.pop(0), display)
                            if lost:
                                break  # connect anew
            except CellFailure as failure:  # here the bed itself, not a cell, is unfit
                raise StreambedError(
                    str(failure), hint=f"./streambed up -i {inventory.path}, then run with --resume"
                ) from failure

    async def _execute(
        self, fleet: Fleet, kept: Kept, execution: Execution, display: Display
    ) -> bool:
        """Run one cell (again when it was contended); True when a node was lost."""
        for number in range(1, _ATTEMPTS_WHEN_CONTENDED + 1):
            attempt = self._writer.begin(execution)
            display.cell(execution.cell.label)
            row, lost = await self._attempt(fleet, kept, attempt, display)
            self._writer.append(row)
            contended = Flag.CONTENDED in row.flags
            again = contended and not lost and number < _ATTEMPTS_WHEN_CONTENDED
            display.outcome(_in_words(row), self._expected_s[execution.key], again=again)
            if not again:
                return lost
            warn("others took the processors while this cell ran: it is repeated")
        return False

    async def _attempt(
        self, fleet: Fleet, kept: Kept, attempt: Attempt, display: Display
    ) -> tuple[Row, bool]:
        cell = attempt.execution.cell
        run = self._writer.directory.name
        pipeline = PIPELINES[cell.pipeline](
            Work(
                fleet=fleet,
                cell=cell,
                name=f"{run}-{cell.id}-{attempt.execution.repeat}-{attempt.number}",
                directory=attempt.directory,
                display=display,
                record_facts=self._writer.record_facts,
                known=self._known,
                kept=kept,
            )
        )
        status: Status = "failed"
        reason: str | None = None
        lost = False
        try:
            outcome = await pipeline.run()
            reasons = failed_reasons(outcome.readings)
            status, reason = ("failed", "; ".join(reasons)) if reasons else ("ok", None)
        except asyncio.CancelledError:
            self._interrupted(attempt)
            raise
        except StreambedError:
            raise  # the run itself cannot go on: another configuration, a full disk
        except Exception as error:
            # Whatever broke, it broke this cell: a row, and the run goes on.
            task = asyncio.current_task()
            if task is not None and task.cancelling():  # cleaning up after Ctrl-C failed
                self._interrupted(attempt)
                raise asyncio.CancelledError from error
            story = _story(error)
            reason = "; then: ".join(_words(part) for part in story)
            lost = any(isinstance(part, BedFailure) for part in story)
            if not isinstance(error, CellFailure):
                write_text(attempt.directory / "error.txt", traceback.format_exc())
            outcome = pipeline.partial()
        return self._row(attempt, status, outcome.measures, outcome.readings, reason), lost

    def _interrupted(self, attempt: Attempt) -> None:
        self._writer.append(self._row(attempt, "interrupted", None, [], "interrupted by the user"))

    def _row(
        self,
        attempt: Attempt,
        status: Status,
        measures: Measures | None,
        readings: Sequence[Reading],
        reason: str | None,
    ) -> Row:
        return Row(
            cell=attempt.execution.cell,
            repeat=attempt.execution.repeat,
            attempt=attempt.number,
            status=status,
            started_at=attempt.started_at,
            ended_at=time.time(),
            measures=measures,
            flags=frozenset(Flag(flag) for flag in raised_flags(readings)),
            reason=reason,
            gates={reading.gate: reading.as_dict() for reading in readings},
        )


def _rates(todo: Sequence[Execution]) -> list[float]:
    """Bandwidths that the cells ask for, bit/s."""
    asked = {getattr(each.cell.config, "bandwidth_mbit_per_s", None) for each in todo}
    return [1e6 * rate for rate in asked if rate is not None]


@contextlib.asynccontextmanager
async def _all_workers_after(fleet: Fleet) -> AsyncIterator[None]:
    """However the context is left, every worker of the bed runs again."""
    try:
        yield
    finally:
        # A node that is gone is told by what failed on it, or by the next sweep.
        with contextlib.suppress(CellFailure):
            await services.use_workers(fleet, fleet.inventory.group("spark_workers"))


def _story(error: BaseException) -> list[BaseException]:
    """What failed, first things first: a clean-up that fails too does not hide the cause."""
    chain: list[BaseException] = []
    at: BaseException | None = error
    while at is not None:
        if at is error or isinstance(at, CellFailure):
            chain.append(at)
        at = at.__context__
    return chain[::-1]


def _words(error: BaseException) -> str:
    return str(error) if isinstance(error, CellFailure) else f"unexpected: {error!r}"


_TOLD = (
    ("execution_s", "s"),
    ("fairness", "fairness"),
    ("train_s", "s"),
    ("top1", "top-1"),
    ("image_rate_per_s", "images/s"),
    ("produce_rate_per_s", "images/s produced"),
    ("consume_rate_per_s", "images/s consumed"),
    ("latency_worst_p99_s", "s p99 of the slowest camera"),
    ("micro_batch_mean_s", "s a micro-batch"),
    ("recovery_s", "s to recover"),
)
"""Figures that the display tells of a row."""
_AFTER_A_FAULT = (("lost", "lost"), ("duplicates", "twice"))


def _in_words(row: Row) -> str:
    if row.status != "ok":
        return f"[fail]{row.status}[/fail]: {escape(row.reason or '')}"
    fields = row.measures.as_fields() if row.measures else {}
    words = []
    for name, unit in _TOLD:
        value = fields.get(name)
        if isinstance(value, int | float):
            words.append(f"{value:,.0f} {unit}" if value >= 100 else f"{value:.3f} {unit}")
    if fields.get("recovery_s") is not None:
        words += [
            f"{fields[name]:,} {said}"
            for name, said in _AFTER_A_FAULT
            if fields.get(name) is not None
        ]
    utilisation = fields.get("link_utilisation")
    if utilisation is not None:
        words.append(f"{utilisation:.1%} of the goodput")
    flags = f" [warn]({', '.join(sorted(row.flags))})[/warn]" if row.flags else ""
    return f"[good]ok[/good]: {', '.join(words)}{flags}"


def packed_application_hash() -> str:
    """Hash of the node programs of this clone, by the packer that role `app` installs with."""
    packer = paths.ROOT / "roles" / "app" / "files" / "pack.py"
    done = subprocess.run(
        [sys.executable, str(packer), str(paths.ROOT / "app" / "streambed")],
        capture_output=True,
        text=True,
        check=True,
    )
    return str(json.loads(done.stdout)["hash"])


async def _applications(inventory: Inventory) -> set[str]:
    async with connect(inventory) as fleet:
        heads = await asyncio.gather(
            *(s.run(["cat", "/opt/streambed/app/HASH"], check=False) for s in fleet.all())
        )
    return {head.stdout.strip() for head in heads}


def _bed_lock(inventory: Inventory) -> Path:
    """The lock of `up` and `down` too: nobody changes a bed under a measurement."""
    return paths.state_dir(inventory.name) / "lock"


def refuse_busy_beds(beds: Sequence[str]) -> None:
    """Refuse a run whose bed another command uses, before the run leaves anything behind.

    Raises:
        StreambedError: which bed, and who has it.
    """
    for inventory in map(inventories.load, beds):
        locks.refuse_if_held(_bed_lock(inventory), what=f"bed {inventory.name}")


def bring_up(inventory: Inventory) -> None:
    """Make sure the bed is up and runs the programs of this clone; says so when it was not."""
    try:
        found = asyncio.run(_applications(inventory))
    except CellFailure:
        step(f"bed {inventory.name} is not up: bringing it up")
    else:
        if found == {packed_application_hash()} and lifecycle.is_up(inventory):
            return
        step(f"bed {inventory.name} runs other programs than this clone: provisioning it")
    lifecycle.up(inventory)


def report_outcome(writer: RunWriter) -> None:
    """The last words of a run: where it is, and what to do next."""
    name = writer.directory.name
    left = writer.pending()
    if left:
        err.print(f"[fail]{len(left)} cells are not ok[/fail]; ./streambed results {name} tells")
        err.print(f"try them again: the same command with --resume {escape(str(writer.directory))}")
    err.print(f"figures: ./streambed results {name}; pages: ./streambed report {name}")
    weights = publish(writer.directory, writer.rows, WEIGHTS)
    if weights is not None:
        model = f"--set model={NETWORK} --set weights={escape(str(weights))}"
        err.print(f"classify a stream with what was trained: ./streambed run small {model}")
