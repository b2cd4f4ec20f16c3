"""Pipeline `batch` on the controller: cells, order, plan, figures of a job, gates, report."""

import asyncio
import contextlib
import csv
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.wide import bed

from streambed import report
from streambed.errors import StreambedError
from streambed.experiment import Execution, Overrides, cells, load, order, plan
from streambed.experiment.batch import BatchConfiguration
from streambed.experiment.cells import Cell
from streambed.experiment.estimate import APPLICATION_S, cell_s, cold_start_s, costs_s
from streambed.experiment.placement import Placement
from streambed.experiment.schedule import makespan_s
from streambed.gates import batch as gates
from streambed.gates.reading import failed_reasons, raised_flags
from streambed.pipelines import assignment
from streambed.results import chunks, spread, writer
from streambed.results import run as runs
from streambed.results.chunks import ChunkRun
from streambed.results.row import Row
from streambed.results.run import Run
from streambed.runner.application import settings_of
from streambed.runner.batch import chunk_runs
from streambed.runner.failure import CellFailure
from streambed.runner.kept import Kept


@pytest.fixture
def wide(tmp_path: Path) -> str:
    folder = tmp_path / "wide"
    folder.mkdir()
    return bed(folder)


def found(wide: str, *options: str, subset: str | None = "evening") -> tuple[Cell, ...]:
    return cells(load("batch", Overrides(set=options, subset=subset, bed=wide)))


# --- cells, order, plan ---------------------------------------------------------------------


def test_the_whole_matrix_has_every_level_of_the_study(wide: str) -> None:
    experiment = load("batch", Overrides(bed=wide))
    levels = experiment.levels
    assert {*range(1, 26), 30, 35, 40} == set(levels["partitions"])
    assert levels["workers"] == (1, 2, 3, 4, 5)
    assert levels["locality_wait"] == (0.0, 1.0, 3.0)
    assert experiment.repeats == 10
    assert len(list(experiment.configurations())) == 28 * 5 * 3 * 2 * 3 * 2


def test_the_evening_is_planned_within_45_minutes() -> None:
    built = plan.build(load("batch", Overrides(subset="evening")))
    assert 30 * 60 < built.estimated_s <= 45 * 60
    assert not any(planned.commands for planned in built.cells)


def test_a_cell_is_placed_on_as_many_workers_as_it_asks_for(wide: str) -> None:
    for planned in plan.build(load("batch", Overrides(subset="evening", bed=wide))).cells:
        assert isinstance(planned.placement, Placement)
        assert len(planned.placement.workers) == planned.cell.batch.workers
        assert len(planned.placement.workers) + len(planned.placement.idle) == 5


def test_the_evening_has_the_cells_that_the_figures_need(wide: str) -> None:
    there = {
        (c.partitions, c.workers, c.locality_wait_s, c.locality_timer, c.assignment, c.chunk_work)
        for c in (cell.batch for cell in found(wide))
    }
    timelines = itertools.product((9, 40), (3,), (0.0, 3.0), ("legacy",), ("hash",), ("timed",))
    levels = (1, 2, 4, 8, 9, 12, 16, 20, 25, 30, 35, 40)
    over_partitions = itertools.product(levels, (3,), (3.0,), ("legacy",), ("hash",), ("timed",))
    over_workers = itertools.product((40,), range(1, 6), (3.0,), ("legacy",), ("hash",), ("timed",))
    waits = itertools.product((8, 9, 40), (3,), (0.0, 1.0, 3.0), ("legacy",), ("hash",), ("timed",))
    two = itertools.product((8, 9, 40), (2,), (0.0, 3.0), ("legacy",), ("hash",), ("timed",))
    timers = itertools.product((8, 9, 40), (3,), (3.0,), ("current",), ("hash",), ("timed",))
    cure = itertools.product((24,), range(1, 5), (0.0,), ("legacy",), ("hash", "even"), ("model",))
    wanted = (timelines, over_partitions, over_workers, waits, two, timers, cure)
    assert {*itertools.chain(*wanted)} <= there


def test_parts_that_overlap_give_a_cell_once_and_options_reach_each_part(wide: str) -> None:
    listed = found(wide)
    assert len({cell.identity for cell in listed}) == len(listed)
    three = found(wide, "workers=3", "chunk_work=timed")
    assert {(cell.batch.workers, cell.batch.chunk_work) for cell in three} == {(3, "timed")}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (Overrides(images=100), "image_count"),
        (Overrides(duration="9 s"), "duration"),
        (Overrides(set=("locality_wait=1",)), "0 or a positive number and one of ms, s"),
        (Overrides(set=("locality_wait=-1 s",)), "out of range"),
        (Overrides(set=("assignment=random",)), "hash, even, weighted"),
        (Overrides(set=("chunk_time=0 s",)), "out of range"),
        (Overrides(set=("threads=65",)), "from 1 to 64"),
        (Overrides(set=("zero_wait=prefer",), subset="brief"), "locality_wait"),
        (Overrides(set=("model=/dev/null.py:Net",)), "no file"),
        (Overrides(set=("bandwidth=10 Mbit/s",)), "unknown factor"),
    ],
)
def test_a_mistake_is_named(wide: str, options: Overrides, words: str) -> None:
    with pytest.raises(StreambedError) as caught:
        load("batch", replace(options, bed=wide))
    assert words in caught.value.message


def test_a_union_is_checked_like_a_matrix(tmp_path: Path, wide: str) -> None:
    text = Path("experiments/batch.yml").read_text(encoding="utf-8")
    path = tmp_path / "batch.yml"
    path.write_text(text.replace("partitions: [8, 9, 40]", "partitions: [8, 9, 41]", 1))
    with pytest.raises(StreambedError, match="'41' is not in the matrix"):
        load(path, Overrides(bed=wide))
    path.write_text(text.replace("      - factors:", "      - factor:", 1))
    with pytest.raises(StreambedError, match=r"parts\.0\.factor'; allowed are factors"):
        load(path, Overrides(bed=wide))


def test_an_image_is_classified_as_often_as_asked_and_a_timed_one_never(wide: str) -> None:
    by_work = {cell.batch.chunk_work: cell.images for cell in found(wide)}
    assert by_work == {"model": 300_000, "timed": 0}


def test_cells_of_one_application_follow_each_other_in_an_order_of_their_own(wide: str) -> None:
    listed = found(wide)
    executions = order(listed, 2)
    for repeat in (1, 2):
        block = [e.cell for e in executions if e.repeat == repeat]
        assert Counter(block) == Counter(listed)
        groups = [shared for shared, _ in itertools.groupby(block, key=lambda c: c.shared)]
        assert len(groups) == len(set(groups)) == len({cell.shared for cell in listed})
    first, second = executions[: len(listed)], executions[len(listed) :]
    assert [e.cell.shared for e in first] != [e.cell.shared for e in second]
    # Within an application, too: ten orders of the largest are not all the same by chance.
    (largest, _), *_ = Counter(cell.shared for cell in listed).most_common()
    orders: dict[int, list[Cell]] = {}
    for execution in order(listed, 10):
        if execution.cell.shared == largest:
            orders.setdefault(execution.repeat, []).append(execution.cell)
    assert len(set(map(tuple, orders.values()))) > 1


def test_what_is_set_with_an_application_tells_cells_apart() -> None:
    base = BatchConfiguration(workers=3, locality_wait_s=0.0)
    same = (
        replace(base, partitions=9),
        replace(base, chunk_work="timed"),
        replace(base, chunk_images=9),
    )
    other = (
        replace(base, workers=2),
        replace(base, locality_timer="current"),
        replace(base, zero_wait="prefer"),
        replace(base, assignment="even"),
        replace(base, threads=4),
        replace(base, key_seed=9),
        replace(base, model="lenet5"),
    )
    assert {config.shared for config in same} == {base.shared}
    assert base.shared not in {config.shared for config in other}
    prefers = replace(base, locality_wait_s=3.0)
    assert prefers.shared != base.shared
    assert replace(prefers, locality_wait_s=1.0).shared == prefers.shared
    assert replace(base, assignment="even").shared == prefers.shared


def test_only_hash_without_a_wait_leaves_the_node_open() -> None:
    base = BatchConfiguration(workers=2, locality_wait_s=0.0)
    assert not base.prefer_node
    assert replace(base, workers=1).prefer_node
    assert replace(base, locality_wait_s=3.0).prefer_node
    assert replace(base, zero_wait="prefer").prefer_node
    assert replace(base, assignment="even").prefer_node


def test_the_plan_counts_each_application_once(wide: str) -> None:
    built = plan.build(load("batch", Overrides(subset="brief", bed=wide)))
    assert len({planned.cell.shared for planned in built.cells}) == 2
    costs = costs_s(built.executions)
    more = [
        cost_s - cell_s(execution.cell)
        for cost_s, execution in zip(costs, built.executions, strict=True)
    ]
    start_s = cold_start_s(built.cells[0].cell) + APPLICATION_S
    assert sorted(more) == pytest.approx([0.0] * 6 + [start_s] * 2)
    assert built.estimated_s == pytest.approx(built.beds_up_s + sum(costs))


def test_the_estimate_knows_what_a_wait_and_a_skew_cost() -> None:
    even = BatchConfiguration(assignment="even", locality_wait_s=0.0, workers=5)
    assert makespan_s(even, 2.0) == pytest.approx(2.0)
    assert makespan_s(replace(even, workers=1), 2.0) == pytest.approx(10.0)
    hashed = replace(even, assignment="hash", locality_wait_s=3.0)
    assert makespan_s(hashed, 2.0) > makespan_s(even, 2.0)
    assert makespan_s(replace(hashed, partitions=1), 2.0) == pytest.approx(80.0)


# --- figures of a job -----------------------------------------------------------------------


def ran(chunk: int, node: str = "worker1", **more: Any) -> ChunkRun:
    given: dict[str, Any] = {
        "chunk": chunk,
        "partition": chunk,
        "node": node,
        "executor": "0",
        "host": f"{node}.bed",
        "pid": 1,
        "task": chunk,
        "attempt": 0,
        "start_s": 10.0 + chunk,
        "end_s": 11.0 + chunk,
        "images": 100,
        "correct": 99,
        "mismatches": 0,
    }
    return ChunkRun(**{**given, **more})


def test_fairness_is_jain_s_index_over_all_workers_in_use() -> None:
    assert spread.jain([10, 10, 10, 10]) == 1
    assert spread.jain([40, 0, 0]) == pytest.approx(1 / 3)
    assert spread.jain([14, 13, 13]) == pytest.approx(1600 / (3 * 534))
    with pytest.raises(ValueError, match="not defined"):
        spread.jain([0, 0])


def test_a_node_without_chunks_counts() -> None:
    assert spread.per_node([ran(0), ran(1)], ["worker1", "worker2"]) == [2, 0]


def test_nodes_idle_where_no_chunk_runs() -> None:
    both = [ran(0, start_s=0, end_s=10), ran(1, "worker2", start_s=0, end_s=5)]
    assert spread.idle_share(both, ["worker1", "worker2"]) == pytest.approx(0.25)
    assert spread.idle_share(both, ["worker1", "worker2", "worker3"]) == pytest.approx(0.5)
    overlap = [ran(0, start_s=0, end_s=6), ran(1, start_s=4, end_s=10)]
    assert spread.idle_share(overlap, ["worker1"]) == pytest.approx(0)


def test_a_task_keeps_its_thread_and_the_next_one_takes_the_lowest_free() -> None:
    listed = [
        ran(0, task=1, start_s=0, end_s=2),
        ran(1, task=1, start_s=2, end_s=6),
        ran(2, task=2, start_s=1, end_s=3),
        ran(3, task=3, start_s=3, end_s=4),
        ran(4, "worker2", task=4, start_s=0, end_s=9),
    ]
    assert spread.threads(listed) == {0: 0, 1: 0, 2: 1, 3: 1, 4: 0}
    assert spread.most_at_once(listed) == 2


def test_the_measures_count_chunks_and_take_times_from_the_event_log() -> None:
    listed = [ran(0, partition=7, task=1), ran(1, partition=7, task=1), ran(2, "worker2", task=2)]
    job = {
        "submitted_s": 8.0,
        "ended_s": 18.0,
        "tasks": [
            {"task": 0, "launched_s": 8.0, "finished_s": 8.5},
            {"task": 1, "launched_s": 9.5, "finished_s": 12.5},
            {"task": 2, "launched_s": 11.5, "finished_s": 13.5},
        ],
    }
    seen = spread.measures(listed, job, ["worker1", "worker2", "worker3"], classifies=True)
    assert seen.execution_s == 10
    assert seen.fairness == pytest.approx(9 / (3 * 5))
    assert (seen.max_tasks_per_node, seen.max_chunks_per_partition, seen.nodes_used) == (2, 2, 2)
    assert seen.image_rate_per_s == 30
    assert seen.lead_s == 2
    assert seen.task_overhead_s == pytest.approx(1.0)
    assert seen.accuracy == pytest.approx(0.99)
    timed = spread.measures(listed, job, ["worker1", "worker2"], classifies=False)
    assert (timed.image_rate_per_s, timed.accuracy) == (None, None)


def test_chunks_are_kept_as_they_were(tmp_path: Path) -> None:
    listed = [ran(0), ran(1, "worker2")]
    chunks.write(tmp_path / chunks.FILE, listed)
    assert chunks.read(tmp_path / chunks.FILE) == listed
    (tmp_path / chunks.FILE).write_bytes(b"no table")
    with pytest.raises(StreambedError, match=r"chunks\.parquet"):
        chunks.read(tmp_path / chunks.FILE)


def reported(chunk: int, task: int) -> dict[str, Any]:
    whole = ran(chunk, task=task)
    return {name: getattr(whole, name) for name in vars(whole) if name not in ("node", "executor")}


def test_a_chunk_ran_where_the_event_log_has_its_task() -> None:
    job = {
        "chunks": [reported(1, 5), reported(0, 4)],
        "tasks": [
            {"task": 4, "host": "10.9.0.21", "executor": "0"},
            {"task": 5, "host": "10.9.0.22", "executor": "1"},
        ],
    }
    listed = chunk_runs(job, {"10.9.0.21": "worker1", "10.9.0.22": "worker2"})
    assert [(run.chunk, run.node, run.executor) for run in listed] == [
        *((0, "worker1", "0"), (1, "worker2", "1"))
    ]
    job["tasks"] = job["tasks"][:1]
    with pytest.raises(CellFailure, match="task 5"):
        chunk_runs(job, {})


# --- gates ----------------------------------------------------------------------------------


def test_a_chunk_that_is_missing_twice_or_unknown_fails() -> None:
    whole = [ran(0), ran(1), ran(2)]
    assert gates.every_chunk_once(whole, 3).ok
    assert gates.every_chunk_once(whole, 3).measured == "3 of 3"
    assert gates.every_chunk_once(whole[:2], 3).measured == "2 of 3, not chunk 2"
    assert not gates.every_chunk_once([*whole, ran(1)], 3).ok
    assert not gates.every_chunk_once([*whole, ran(3)], 3).ok


def test_labels_and_images_are_counted() -> None:
    good = [ran(0), ran(1)]
    assert not failed_reasons([gates.images_classified(good, 200), *gates.labels(good, 0.97)])
    assert failed_reasons([gates.images_classified(good, 201)])
    assert failed_reasons(gates.labels([ran(0, mismatches=1)], None))
    assert failed_reasons(gates.labels([ran(0, correct=96)], 0.97))


def test_a_timed_chunk_takes_its_time() -> None:
    assert gates.served([ran(0), ran(1)], {0: 1.0, 1: 1.0}).ok
    assert not gates.served([ran(0), ran(1)], {0: 1.0, 1: 1.5}).ok


def result(partition: int, **more: Any) -> dict[str, Any]:
    given = {"kind": "result", "ok": True, "stage": 1, "stage_attempt": 0}
    return {"partition": partition, **given, **more}


def test_partitions_are_tasks_that_succeeded() -> None:
    assert gates.partitions_act(2, [result(0), result(1), result(0, kind="map")]).ok
    assert not gates.partitions_act(3, [result(0), result(1)]).ok
    assert not gates.partitions_act(2, [result(0), result(1, ok=False)]).ok
    assert not gates.partitions_act(1, [result(0), result(1)]).ok


def test_an_assignment_is_what_the_chunks_say() -> None:
    assert gates.assignment_acts([ran(0, partition=4), ran(1, partition=4)], [4, 4]).ok
    wrong = gates.assignment_acts([ran(0, partition=4), ran(1, partition=3)], [4, 4])
    assert not wrong.ok
    assert str(wrong.measured).startswith("1 chunks elsewhere")


def test_settings_are_read_back() -> None:
    wanted = {"spark.locality.wait": "3000ms"}
    assert gates.settings_act(wanted, {"spark.locality.wait": "3000ms", "other": "1"}).ok
    assert not gates.settings_act(wanted, {"spark.locality.wait": "0ms"}).ok
    assert not gates.settings_act(wanted, {}).ok
    assert not gates.settings_act(wanted, {"spark.locality.wait": None}).ok


def test_a_cell_asks_for_its_wait_and_for_what_its_application_has() -> None:
    asked = settings_of(BatchConfiguration(locality_wait_s=1.0, locality_timer="current"))
    assert asked == {
        "spark.locality.wait": "1000ms",
        "spark.locality.wait.legacyResetOnTaskLaunch": "false",
        "spark.shuffle.reduceLocality.enabled": "true",
    }


def test_no_more_chunks_at_a_time_than_threads() -> None:
    at_once = [ran(0, start_s=0, end_s=2), ran(1, start_s=1, end_s=3)]
    assert gates.threads_kept(at_once, 2).ok
    assert not gates.threads_kept(at_once, 1).ok


def test_chunk_and_event_log_name_the_same_machine() -> None:
    assert gates.hosts_agree([ran(0), ran(1, "worker2")]).ok
    assert not gates.hosts_agree([ran(0), ran(1, "worker2", host="worker1.bed")]).ok


def test_what_was_tried_again_is_a_disturbance() -> None:
    assert gates.nothing_repeated([ran(0)], [result(0)]).ok
    for listed, tasks in (
        ([ran(0, attempt=1)], [result(0)]),
        ([ran(0)], [result(0), result(0, ok=False)]),
        ([ran(0)], [result(0, stage_attempt=1)]),
    ):
        assert raised_flags([gates.nothing_repeated(listed, tasks)]) == ["disturbed"]


def test_chunks_shorter_than_the_wait_represent_nothing() -> None:
    assert gates.chunks_outlast_wait([ran(0)], 0.5).ok
    assert raised_flags([gates.chunks_outlast_wait([ran(0)], 3.0)]) == ["not_representative"]


# --- what cells share -----------------------------------------------------------------------


def test_what_is_kept_ends_when_another_is_asked_for_or_an_error_ends_it() -> None:
    told: list[str] = []

    def context(name: str) -> Callable[[], contextlib.AbstractAsyncContextManager[str]]:
        @contextlib.asynccontextmanager
        async def enter() -> AsyncIterator[str]:
            told.append(f"{name} begins")
            try:
                yield name
                told.append(f"{name} ends well")
            finally:
                told.append(f"{name} is gone")

        return enter

    async def cells_of_a_run() -> None:
        async with Kept() as kept:
            assert await kept.get(1, context("one")) == "one"
            assert await kept.get(1, context("never")) == "one"
            assert await kept.get(2, context("two")) == "two"
            await kept.drop(CellFailure("broken"))
            assert await kept.get(2, context("three")) == "three"

    asyncio.run(cells_of_a_run())
    assert told == [
        *("one begins", "one ends well", "one is gone"),
        *("two begins", "two is gone"),
        *("three begins", "three ends well", "three is gone"),
    ]


def test_what_does_not_end_well_is_told_and_harms_no_other_cell(
    capsys: pytest.CaptureFixture[str],
) -> None:
    @contextlib.asynccontextmanager
    async def stubborn() -> AsyncIterator[str]:
        yield "stubborn"
        raise CellFailure("did not end within 60 s")

    @contextlib.asynccontextmanager
    async def next_one() -> AsyncIterator[str]:
        yield "next"

    async def cells_of_a_run() -> None:
        async with Kept() as kept:
            await kept.get(1, stubborn)
            assert await kept.get(2, next_one) == "next"
            assert kept.holds(2)

    asyncio.run(cells_of_a_run())
    assert "did not end within 60 s" in capsys.readouterr().err


# --- report ---------------------------------------------------------------------------------


def simulated(config: BatchConfiguration) -> list[ChunkRun]:
    """Chunks as Spark would spread them, without a bed: one node first where it is preferred."""
    sizes = assignment.relative_sizes(config.chunks, config.chunk_sizes)
    partition = assignment.partition_of(
        config.assignment, sizes, config.partitions, config.key_seed
    )
    chunk_s = config.chunk_time_s if config.chunk_work == "timed" else 8.0
    own = config.assignment == "hash" and config.prefer_node
    late_s = config.locality_wait_s if own else 0.0
    free = {
        (node, thread): late_s if node else 0.0
        for thread in range(config.threads)
        for node in range(config.workers)
    }
    listed = []
    for number in range(config.partitions):
        meant = [number % config.workers] if config.assignment != "hash" else None
        there = [key for key in free if meant is None or key[0] in meant]
        # The node with the data first, or each in turn.
        node, thread = min(there, key=lambda k: (free[k], k if own else k[::-1]))
        for chunk in (c for c in range(config.chunks) if partition[c] == number):
            begin = 100.0 + free[node, thread]
            free[node, thread] += chunk_s
            listed.append(
                ran(
                    chunk,
                    f"worker{node + 1}",
                    partition=number,
                    task=number,
                    start_s=begin,
                    end_s=begin + chunk_s,
                )
            )
    return sorted(listed, key=lambda run: run.chunk)


def make(root: Path, wide: str, *options: str, subset: str = "evening", repeats: int = 1) -> Run:
    """A run whose jobs were simulated."""
    overrides = Overrides(set=options, subset=subset, bed=wide, repeats=repeats)
    with writer.create(load("batch", overrides), root) as store:
        store.append_flat([_row(store, execution) for execution in store.executions])
        store.finish()
        return runs.open_run(store.directory)


def _row(store: writer.RunWriter, execution: Execution) -> dict[str, Any]:
    config = execution.cell.batch
    attempt = store.begin(execution)
    listed = simulated(config)
    chunks.write(attempt.directory / chunks.FILE, listed)
    end_s = max(run.end_s for run in listed) + 0.01 * execution.repeat
    tasks = [
        {"task": run.task, "launched_s": run.start_s, "finished_s": run.end_s} for run in listed
    ]
    job = {"submitted_s": 98.0, "ended_s": end_s, "tasks": tasks}
    nodes = [f"worker{number}" for number in range(1, config.workers + 1)]
    return Row(
        cell=execution.cell,
        repeat=execution.repeat,
        attempt=attempt.number,
        status="ok",
        started_at=attempt.started_at,
        ended_at=attempt.started_at + 30,
        measures=spread.measures(listed, job, nodes, classifies=config.chunk_work == "model"),
    ).flat()


def table(folder: Path, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / f"{name}.csv").read_text().splitlines()))


def test_the_report_of_an_evening_has_every_published_figure(tmp_path: Path, wide: str) -> None:
    built = report.build([make(tmp_path, wide)])
    folder = built.page.parent
    assert {path.stem for path in built.files} == {
        "figs-04-07-execution-time",
        "figs-08-13-fairness",
        "figs-10-14-most-tasks",
        "figs-15-18-timeline",
        "fig-19-timeline-partitions",
        "locality-timer",
        "cure-execution-time",
        "cure-fairness",
    }
    fair = table(folder, "figs-08-13-fairness")
    on_one = [row for row in fair if row["published"]]
    assert on_one
    assert all(
        float(row["fairness_median"]) == pytest.approx(float(row["published"]), abs=1e-4)
        for row in on_one
    )
    page = built.page.read_text()
    assert "all chunks ran on one node up to 8 partitions" in page
    assert "they ran on several nodes from 9 partitions on" in page
    assert (
        "Without a wait (zero_wait: spread) chunks ran on several nodes from 2 partitions on"
        in page
    )
    assert "With a locality wait of 3 s (legacy timer)" in built.headline
    # What streams gain by more workers is no figure of a batch.
    assert "times the images" not in built.headline


def test_timed_chunks_are_called_so_in_picture_and_caption(tmp_path: Path, wide: str) -> None:
    built = report.build([make(tmp_path, wide)])
    page = built.page.read_text()
    for path in built.files:
        if path.suffix == ".svg":
            timed = not path.stem.startswith("cure")
            assert ("timed chunks" in path.read_text()) == timed, path
    assert "a thread sleeps instead of classifying" in page


def test_the_timelines_show_every_chunk_of_the_published_cells(tmp_path: Path, wide: str) -> None:
    built = report.build([make(tmp_path, wide)])
    bars = table(built.page.parent, "figs-15-18-timeline")
    panels = Counter(row["panel"] for row in bars)
    assert panels == {
        f"{count} partitions, locality wait {wait} s": 40 for count in (9, 40) for wait in (3, 0)
    }
    assert max(int(row["thread"]) for row in bars) <= 8
    assert min(float(row["start_s"]) for row in bars) == pytest.approx(2.0)


def test_the_cure_is_beside_the_ideal_with_its_efficiency(tmp_path: Path, wide: str) -> None:
    built = report.build([make(tmp_path, wide, subset="cure", repeats=3)])
    rows = table(built.page.parent, "cure-execution-time")
    five = {row["assignment"]: row for row in rows if row["workers"] == "5"}
    assert float(five["even"]["parallel_efficiency"]) > float(five["hash"]["parallel_efficiency"])
    assert "ideal" in (built.page.parent / "cure-execution-time.svg").read_text()
    fair = table(built.page.parent, "cure-fairness")
    even = [row for row in fair if row["assignment"] == "even"]
    assert min(float(row["fairness_median"]) for row in even) > 0.99
    assert "Parallel efficiency from 1 to 5 workers" in built.page.read_text()


def test_mixed_sizes_are_compared_over_partitions(tmp_path: Path, wide: str) -> None:
    built = report.build([make(tmp_path, wide, subset="mixed", repeats=1)])
    rows = table(built.page.parent, "cure-execution-time")
    assert {row["assignment"] for row in rows} == set(assignment.ASSIGNMENTS)


def test_a_page_without_raw_data_has_no_timelines(tmp_path: Path, wide: str) -> None:
    made = make(tmp_path, wide, subset="brief")
    for path in made.directory.rglob(chunks.FILE):
        path.unlink()
    built = report.build([made])
    assert not any("timeline" in path.name for path in built.files)
