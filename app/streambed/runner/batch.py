"""Pipeline `batch`: one cell is one job, of an application that it shares with cells like it."""

import time
from dataclasses import replace
from typing import Any

from streambed.gates import Reading, contention, disturbance, effects, quotas
from streambed.gates import batch as gates
from streambed.pipelines import assignment, records
from streambed.results import chunks, spread
from streambed.results.chunks import ChunkRun
from streambed.results.measures import BatchMeasures
from streambed.runner import application
from streambed.runner.application import Application
from streambed.runner.failure import CellFailure
from streambed.runner.pipeline import Outcome, Work
from streambed.runner.program import Event

_LEAST_TIMEOUT_S = 300.0
"""A node that is lost is noticed after two minutes, and its tasks run again."""

_MODEL_TIMEOUT_S = 1800.0


class BatchPipeline:
    """One attempt at a cell of pipeline `batch`."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._cell = work.cell
        self._config = work.cell.batch
        self._timed = self._config.chunk_work == "timed"
        self._sizes = assignment.relative_sizes(self._config.chunks, self._config.chunk_sizes)
        self._readings: list[Reading] = []
        self._measures = BatchMeasures()

    async def run(self) -> Outcome:
        """Run the job, in the application of the cell before where that will do; judge it.

        Raises:
            CellFailure: a step failed; `partial` tells what is known.
        """
        kept = self._work.kept
        try:
            shared = await kept.get(self._cell.shared, lambda: application.running(self._work))
            self._measures = BatchMeasures(cold_start_s=shared.cold_start_s)
            await self._run_in(shared)
        except BaseException as error:
            # Whatever state it is in, the next cell gets a new one.
            await kept.drop(error)
            raise
        if any(not r.ok and r.flag in (None, "disturbed") for r in self._readings):
            await kept.end()
        return self.partial()

    def partial(self) -> Outcome:
        """What is known, also of a cell that failed on the way."""
        return Outcome(self._measures, self._readings)

    async def _run_in(self, shared: Application) -> None:
        sessions = self._work.fleet.all()
        if not self._timed:
            self._work.display.stage("warming up")
            await shared.warm(self._work.name)
        self._work.display.stage(f"{self._config.chunks} chunks, {self._config.partitions} tasks")
        lives = await disturbance.read(sessions)
        # Both readings lie within, so that no node's share is more than it was.
        began = time.monotonic()
        before = await contention.read(sessions)
        job = await shared.job(self.job_spec(), self._timeout_s())
        after = await contention.read(sessions)
        took_s = time.monotonic() - began
        lives_after = await disturbance.read(sessions)
        taken = contention.taken(before, after, took_s)
        shares = self._cpu_shares(before, after, took_s)
        self._work.keep_events(job=job, application=shared.ready, cpu_shares=shares)
        names = {node.bed_address: node.name for node in shared.workers}
        runs = chunk_runs(job, names)
        chunks.write(self._work.directory / chunks.FILE, runs)
        self._judge(shared, job, runs)
        ids = (job["executors_before"], job["executors"])
        self._readings += [
            contention.judge(taken, self._cell.gates.contended_above),
            disturbance.judge(lives, lives_after, *ids, retried_records=0),
            *quotas.within(shares, self._work.fleet.inventory.nodes, took_s),
        ]
        if self._readings[0].ok:  # every chunk once: figures mean something
            found = spread.measures(runs, job, list(names.values()), classifies=not self._timed)
            self._measures = replace(
                found,
                cold_start_s=shared.cold_start_s,
                cpu_share_max=max(shares.values(), default=None),
                steal=taken.steal,
                cpu_foreign=taken.foreign,
                cpu_pressure=taken.pressure,
            )

    def job_spec(self) -> dict[str, Any]:
        """What command `job` says of this cell."""
        config = self._config
        return {
            "name": self._work.name,
            "partitions": config.partitions,
            "assignment": config.assignment,
            "chunk_work": config.chunk_work,
            "locality_wait_s": config.locality_wait_s,
            "chunks": config.chunks,
            "chunk_images": config.chunk_images,
            "chunk_sizes": config.chunk_sizes,
            "service_s": config.chunk_time_s,
        }

    def _timeout_s(self) -> float:
        """All chunks one after the other, twice; of a model, what nobody would wait for."""
        if not self._timed:
            return _MODEL_TIMEOUT_S
        return _LEAST_TIMEOUT_S + 2 * self._config.chunks * self._config.chunk_time_s

    def _cpu_shares(
        self,
        before: tuple[contention.CpuTimes, ...],
        after: tuple[contention.CpuTimes, ...],
        took_s: float,
    ) -> dict[str, float]:
        """Node → CPU time over its quota, while the job ran; of nodes with a quota."""
        nodes = self._work.fleet.inventory.nodes
        return {
            node.name: (late.node_s - early.node_s) / took_s / node.cpus
            for node, early, late in zip(nodes, before, after, strict=True)
            if node.cpus is not None and early.node_s is not None and late.node_s is not None
        }

    def _judge(self, shared: Application, job: Event, runs: list[ChunkRun]) -> None:
        config, cell = self._config, self._cell
        done = gates.every_chunk_once(runs, config.chunks)
        self._readings.append(done)
        if not done.ok:
            return
        expected = assignment.partition_of(
            config.assignment, self._sizes, config.partitions, config.key_seed
        )
        executors = job["executors_before"]
        self._readings += [
            gates.partitions_act(config.partitions, job["tasks"]),
            gates.assignment_acts(runs, expected),
            gates.settings_act(application.settings_of(config), job["settings"]),
            effects.workers_act(
                [node.bed_address for node in shared.workers],
                executors,
                {task["host"] for task in job["tasks"] if task["kind"] == "result"},
                at_least=1,
            ),
            effects.threads_act(config.threads, executors),
            gates.threads_kept(runs, config.threads),
            gates.hosts_agree(runs),
            gates.nothing_repeated(runs, job["tasks"]),
            gates.images_classified(runs, cell.given_images),
        ]
        if self._timed:
            service_s = {i: size * config.chunk_time_s for i, size in enumerate(self._sizes)}
            self._readings.append(gates.served(runs, service_s))
        else:
            model = records.hex_tag(shared.ready["model_key"])
            self._readings.append(effects.model_acts(shared.model.tag, [model]))
            self._readings += gates.labels(runs, cell.gates.min_accuracy)
        if config.locality_wait_s > 0:
            self._readings.append(gates.chunks_outlast_wait(runs, config.locality_wait_s))


def chunk_runs(job: Event, names: dict[str, str]) -> list[ChunkRun]:
    """The chunks' own reports, each with where the event log says that its task ran.

    Args:
        job: the `job` event of program `batch`.
        names: bed address → name of the nodes in use.

    Raises:
        CellFailure: a chunk names a task that the event log does not know.
    """
    tasks = {task["task"]: task for task in job["tasks"]}
    runs = []
    for report in sorted(job["chunks"], key=lambda report: int(report["chunk"])):
        task = tasks.get(report["task"])
        if task is None:
            raise CellFailure(
                f"chunk {report['chunk']} ran in task {report['task']}, which is not in Spark's "
                "event log"
            )
        node = names.get(task["host"], task["host"])
        runs.append(ChunkRun(node=node, executor=task["executor"], **report))
    return runs
