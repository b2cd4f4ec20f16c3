"""Pipeline `training` on the controller: its page, its claims, the weights that are published."""

import csv
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.trainings import done
from tests.wide import bed

from streambed import report
from streambed.experiment import Execution, Overrides, load
from streambed.report import claims
from streambed.report.data import ReportData
from streambed.results import epochs, publish, writer
from streambed.results import run as runs
from streambed.results import training as figures
from streambed.results.epochs import EpochRun
from streambed.results.row import Row
from streambed.results.run import Run


@pytest.fixture
def wide(tmp_path: Path) -> str:
    """A bed of five workers."""
    folder = tmp_path / "wide"
    folder.mkdir()
    return bed(folder)


PER_WORKER = {"chainermn": 800.0, "torch": 1100.0, "spark-mlp": 500.0}


def make(root: Path, wide: str, subset: str = "evening", study: str | None = "D") -> Run:
    """A run whose trainings are made up: 0.9 of what more workers should give."""
    overrides = Overrides(subset=subset, bed=wide, repeats=1)
    root.mkdir(exist_ok=True)
    experiment = replace(load("training", overrides), study=study)
    with writer.create(experiment, root) as store:
        for execution in store.executions:
            store.append_flat([_row(store, execution)])
        store.finish()
        return runs.open_run(store.directory)


def _row(store: writer.RunWriter, execution: Execution) -> dict[str, Any]:
    config = execution.cell.training
    attempt = store.begin(execution)
    rate = PER_WORKER[config.engine] * config.workers * (0.9 if config.workers > 1 else 1.0)
    rate = 25.0 if config.batch_size == 1 else rate
    steps = config.steps(60_000)
    count = math.ceil(steps.updates / steps.per_epoch)
    train_s = steps.trained_images / rate
    curve = [
        {
            "epoch": n,
            "loss": 0.5 / n,
            "ranks": config.workers,
            "stretch": 1,
            "images": 60_000,
            "train_s": train_s / count,
            "evaluate_s": 1.0,
            "top1": 0.99 - 0.05 / n,
            "top5": 1.0,
            "wait_s": 0.1 * train_s / count,
        }
        for n in range(1, count + 1)
    ]
    told = done(curve=curve, train_s=train_s, images=steps.trained_images, updates=steps.updates)
    epochs.write(attempt.directory / epochs.FILE, [EpochRun.of_event(entry) for entry in curve])
    if config.engine != "spark-mlp":
        (attempt.directory / "lenet5.npz").write_text(config.engine)
    judged = {"top1": 0.99 if config.engine == "torch" else 0.98, "top5": 0.9999, "loss": 0.04}
    return Row(
        cell=execution.cell,
        repeat=execution.repeat,
        attempt=attempt.number,
        status="ok",
        started_at=attempt.started_at,
        ended_at=attempt.started_at + 30,
        measures=figures.measures(told, judged, 30.0),
    ).flat()


def table(folder: Path, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / f"{name}.csv").read_text().splitlines()))


def test_the_report_of_an_evening_stands_beside_what_was_published(
    tmp_path: Path, wide: str
) -> None:
    built = report.build([make(tmp_path, wide)])
    folder = built.page.parent
    assert {path.stem for path in built.files} == {
        *("training-curves", "training-speed-up", "training-engines", "training-time")
    }
    page = built.page.read_text()
    assert "18,621 s in all, top-1 0.9054" in page
    assert "with a batch of 1, as published, trained 25 images per second" in page
    assert "2 workers 1.80 times (efficiency 0.90)" in page
    assert "ranks wait for each other" in page
    assert "top-1 0.9900" in built.headline
    speeds = {row["workers"]: row for row in table(folder, "training-speed-up")}
    assert float(speeds["4"]["parallel_efficiency"]) == pytest.approx(0.9)
    assert "ideal" in (folder / "training-speed-up.svg").read_text()
    rates = table(folder, "training-engines")
    assert float(rates[0]["times_published"]) > 50
    parts = {row["part"] for row in table(folder, "training-time")}
    assert "preprocessing on Spark" in parts
    curves = table(folder, "training-curves")
    assert {row["panel"].split(":")[0] for row in curves} == set(PER_WORKER)


def test_the_speed_up_stands_in_the_rows_whatever_came_first(tmp_path: Path, wide: str) -> None:
    made = make(tmp_path, wide, subset="scaling")
    speeds = {row["workers"]: row["speed_up"] for row in made.rows()}
    assert speeds == {1: pytest.approx(1.0), 2: pytest.approx(1.8)}


def test_the_best_weights_of_a_run_are_published(tmp_path: Path, wide: str) -> None:
    made = make(tmp_path, wide)
    found = publish.publish(made.directory, made.rows(), "lenet5.npz")
    assert found == made.directory / "lenet5.npz"
    assert found.read_text() == "torch"
    assert publish.publish(made.directory, [], "lenet5.npz") is None


def test_a_report_without_raw_data_has_no_learning_curves(tmp_path: Path, wide: str) -> None:
    made = make(tmp_path, wide, subset="scaling")
    for path in made.directory.rglob(epochs.FILE):
        path.unlink()
    built = report.build([made])
    assert not any("curves" in path.name for path in built.files)


def verdicts(made: Run, *others: Run) -> dict[str, claims.Claim]:
    found = claims.claims(ReportData.of([made, *others]))
    return {claim.what.split(" ")[0]: claim for claim in found}


def test_the_claims_are_judged_by_the_rows_of_the_run(tmp_path: Path, wide: str) -> None:
    judged = verdicts(make(tmp_path, wide))
    seen = {name: (claim.bound, claim.verdict) for name, claim in judged.items()}
    assert seen == {
        "15": ("on 1, 2, 3, 4 workers", "not measured"),
        # Also of the published rate, 48.3, which is the experiment file's.
        "images/s": ("≥ 10 times", "reached"),
        "parallel": ("≥ 0.75", "reached"),
        "top-1": ("≥ 0.985", "missed"),
        "top-5": ("≥ 0.999", "reached"),
    }
    assert "0.900 (800 and 1,440 images/s, global batch 768)" in judged["parallel"].figure
    assert "32.0 times (800 with a batch of 768 over 25 images/s)" in judged["images/s"].figure
    assert judged["top-1"].figure == "0.9800 (the lowest of 1, 4 workers, batch 768)"
    assert judged["15"].figure == "ok on 4; none on 1, 2, 3"


def test_one_subset_has_what_every_claim_needs(tmp_path: Path, wide: str) -> None:
    found = claims.claims(ReportData.of([make(tmp_path, wide, subset="claims")]))
    assert len(found) == 6
    assert claims.Verdict.NOT_MEASURED not in {claim.verdict for claim in found}


def test_the_published_rate_is_the_file_s_and_its_bound_can_be_missed(
    tmp_path: Path, wide: str
) -> None:
    data = ReportData.of([make(tmp_path, wide)])
    (over,) = [c for c in claims.claims(data) if "published ones" in c.what]
    # 4 workers: 800 x 4 x 0.9.
    assert over.figure.startswith("59.6 times (2,880 over 48.3 images/s, 4 workers, batch 768")
    assert (over.bound, over.verdict) == ("≥ 50 times", claims.Verdict.REACHED)
    scaled = ReportData.of([make(tmp_path / "scaling", wide, subset="scaling")])
    (over,) = [c for c in claims.claims(scaled) if "published ones" in c.what]
    assert over.verdict == claims.Verdict.MISSED


def test_what_a_run_does_not_have_is_not_measured(tmp_path: Path, wide: str) -> None:
    judged = verdicts(make(tmp_path, wide, subset="scaling"))
    assert judged["top-1"].verdict == claims.Verdict.NOT_MEASURED
    assert judged["top-1"].figure == "needs a training of 15 epochs"
    assert judged["parallel"].verdict == claims.Verdict.REACHED
    assert judged["images/s"].figure.startswith("needs a run with a batch of 1")


def test_a_row_that_failed_for_learning_too_little_misses_its_claim(
    tmp_path: Path, wide: str
) -> None:
    data = ReportData.of([make(tmp_path, wide, subset="whole")])
    rows = [{**row, "status": "failed"} if row["workers"] == 3 else row for row in data.rows]
    judged = {claim.what.split(" ")[0]: claim for claim in claims.claims(data.view(rows))}
    assert judged["15"].verdict == claims.Verdict.MISSED
    assert judged["15"].figure == "ok on 1, 2, 4; failed on 3"
    whole = claims.claims(data)[0]
    assert (whole.verdict, whole.figure) == (claims.Verdict.REACHED, "ok on 1, 2, 3, 4")


def test_two_results_of_different_runs_are_not_held_against_each_other(
    tmp_path: Path, wide: str
) -> None:
    first = make(tmp_path / "a", wide, subset="scaling")
    data = ReportData.of([first])
    ours = [row for row in data.rows if row["workers"] == 1]
    theirs = [{**row, "run": "another"} for row in data.rows if row["workers"] == 2]
    found = [c for c in claims.claims(data.view([*ours, *theirs])) if "efficiency" in c.what]
    assert [claim.verdict for claim in found] == [claims.Verdict.NOT_MEASURED]


def test_the_page_tells_the_claims_of_study_d_and_of_no_other(tmp_path: Path, wide: str) -> None:
    page = report.build([make(tmp_path, wide)]).page.read_text()
    assert "Does it reach what it is to reach?" in page
    assert '<td class="text" data-label="verdict">missed</td>' in page
    mine = ReportData.of([make(tmp_path / "mine", wide, subset="scaling", study=None)])
    assert claims.claims(mine) == []
