"""Pipeline `ablation`: its cells, the steady part of a stage, and the gates that prove it."""

import csv
from pathlib import Path
from typing import Any

import pytest

from streambed import report
from streambed.errors import StreambedError
from streambed.experiment import Overrides, cells, load, plan
from streambed.gates import stage
from streambed.gates.reading import failed_reasons
from streambed.results import run as runs
from streambed.results import writer
from streambed.results.measures import AblationMeasures
from streambed.results.row import Row
from streambed.results.run import Run
from streambed.results.steady import NoSteadyPart, Progress, find_steady, images_done
from streambed.runner import stages as on_bed


def test_every_stage_is_a_cell_of_the_same_images_on_an_unshaped_link() -> None:
    built = plan.build(load("ablation"))
    assert {cell.cell.ablation.stage for cell in built.cells} == set(on_bed.STAGES)
    assert {cell.cell.images for cell in built.cells} == {12 * 100_000}
    assert {cell.cell.payload_bytes for cell in built.cells} == {784}
    assert not any(cell.commands for cell in built.cells)
    assert all("Spark master and driver" in c.placement.roles()["cloud"] for c in built.cells)


def test_the_whole_that_an_ablation_takes_apart_has_the_cell_s_own_settings() -> None:
    options = Overrides(set=("stage=full", "partitions=3", "model=lenet5"), images=900_000)
    (cell,) = cells(load("ablation", options))
    assert (cell.streaming.partitions, cell.streaming.model) == (3, "lenet5")
    assert cell.streaming.bandwidth_mbit_per_s is None
    assert cell.images == 900_000


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (Overrides(duration="10 s"), "image_count"),
        (Overrides(set=("stage=sink",)), "allowed"),
        (Overrides(set=("bandwidth=10 Mbit/s",)), "bandwidth"),
    ],
)
def test_what_an_ablation_cannot_run_is_refused(options: Overrides, words: str) -> None:
    with pytest.raises(StreambedError, match=words):
        load("ablation", options)


def steps(worker: int, begin: float, every: float, count: int) -> list[Progress]:
    return [Progress(begin + every * (i + 1), 100, worker) for i in range(count)]


def test_the_rate_of_one_worker_is_that_of_its_whole_batches_after_warm_up() -> None:
    slow_start = [Progress(0.0, 100), Progress(7.0, 100), Progress(9.0, 100)]
    found = find_steady(slow_start + steps(0, 9.0, 0.5, 10), warm_up_images=300)
    assert (found.start_s, found.end_s, found.images) == (9.0, 14.0, 1000)
    assert found.image_rate_per_s == pytest.approx(200)


def test_the_steady_part_ends_when_the_first_worker_has_no_work_left() -> None:
    both = steps(0, 0.0, 1.0, 10) + steps(1, 0.0, 2.0, 10)
    found = find_steady(both, warm_up_images=100)
    assert (found.start_s, found.end_s) == (1.0, 10.0)
    assert found.image_rate_per_s == pytest.approx((900 + 500) / 9)


def test_too_few_batches_are_no_steady_part() -> None:
    with pytest.raises(NoSteadyPart, match="7 batches"):
        find_steady(steps(0, 0.0, 1.0, 10), warm_up_images=300)
    with pytest.raises(NoSteadyPart):
        find_steady([], warm_up_images=300)


def test_images_between_two_moments_are_spread_over_their_batch() -> None:
    assert images_done(steps(0, 0.0, 1.0, 10), 2.5) == pytest.approx(250)


def test_progress_is_read_from_the_events_of_each_kind_of_program() -> None:
    spark = [{"event": "batch", "finished_at": 3.0, "rows": 7, "observed": {}}]
    rival = [{"event": "sample", "at": 3.0, "images": 7, "worker": 1}]
    producer = [{"event": "progress", "at": at, "acked": acked} for at, acked in ((1, 5), (2, 12))]
    assert on_bed.progress_of(spark) == [Progress(3.0, 7)]
    assert on_bed.progress_of(rival) == [Progress(3.0, 7, 1)]
    assert on_bed.progress_of(producer) == [Progress(1, 5), Progress(2, 7)]


def test_observations_of_all_micro_batches_are_summed_up() -> None:
    batches: list[dict[str, Any]] = [
        {"event": "batch", "observed": {"stage": {"images": 3, "bytes": 30}}},
        {"event": "batch", "observed": {"stage": {"images": 2, "bytes": 20}}},
    ]
    assert on_bed.counts_of(batches) == {"images": 5, "bytes": 50}


def test_a_stage_that_missed_one_image_or_byte_fails() -> None:
    good = {"images": 10, "bytes": 7840, "correct": 10, "mismatches": 0}
    assert not failed_reasons(stage.read_every_byte(good, 10, 784))
    assert failed_reasons(stage.read_every_byte(good | {"bytes": 7839}, 10, 784))
    assert failed_reasons(stage.read_every_byte(good | {"images": 9}, 10, 784))
    assert not failed_reasons(stage.packed_every_image({"images": 10, "bytes": 272}, 10, 20))
    assert failed_reasons(stage.packed_every_image({"images": 10, "bytes": 200}, 10, 20))
    assert not failed_reasons(stage.labelled_every_image(good, 10, 0.97))
    assert failed_reasons(stage.labelled_every_image(good | {"mismatches": 1}, 10, 0.97))
    assert failed_reasons(stage.labelled_every_image(good | {"correct": 9}, 10, 0.97))


def test_micro_batches_of_another_size_fail() -> None:
    assert stage.batches_hold([50_000, 49_999, 50_000, 1], 50_000).ok
    assert not stage.batches_hold([50_000, 30_000, 50_000], 50_000).ok
    assert not stage.batches_hold([50_000], 50_000).ok


def test_the_plan_estimates_every_stage() -> None:
    for planned in plan.build(load(Path("experiments/ablation.yml"))).cells:
        assert 20 < planned.estimated_s < 120


def make(root: Path, rates: dict[str, list[float]]) -> Run:
    repeats = max(len(values) for values in rates.values())
    options = Overrides(set=(f"stage={','.join(rates)}",), repeats=repeats)
    with writer.create(load("ablation", options), root) as store:
        for execution in store.executions:
            attempt = store.begin(execution)
            rate = rates[execution.cell.ablation.stage][execution.repeat - 1]
            store.append(
                Row(
                    cell=execution.cell,
                    repeat=execution.repeat,
                    attempt=attempt.number,
                    status="ok",
                    started_at=attempt.started_at,
                    ended_at=attempt.started_at + 30,
                    measures=AblationMeasures(image_rate_per_s=rate),
                )
            )
        store.finish()
        return runs.open_run(store.directory)


def test_the_report_draws_a_bar_per_stage_and_says_what_the_whole_reaches(tmp_path: Path) -> None:
    rates = {
        "full": [80.0, 82.0, 81.0],
        "chainer": [100.0, 101.0, 99.0],
        "loop": [79.0, 80.0, 78.0],
    }
    built = report.build([make(tmp_path, rates)])
    table = list(csv.DictReader((built.page.parent / "stages.csv").read_text().splitlines()))
    assert [row["stage"] for row in table] == ["full", "chainer", "loop"]
    assert float(table[0]["image_rate_per_s_median"]) == 81
    assert float(table[0]["interval_low"]) == 80
    assert "reaches 0.81 of the model alone" in built.headline
    assert "reaches 1.03 of a hand-written" in built.headline
    picture = (built.page.parent / "stages.svg").read_text()
    assert all(words in picture for words in ("full: + result topic", "chainer: model alone"))
