"""A training as the runner carries it out: refused early, and what a failed one leaves."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.wide import bed

from streambed import inventory
from streambed.experiment import Overrides, cells, load
from streambed.experiment.placement import place
from streambed.runner import training
from streambed.runner.failure import BedFailure, CellFailure
from streambed.runner.training import TrainingPipeline


def pipeline(folder: Path, *options: str) -> TrainingPipeline:
    """Of a training on the first workers of a bed, which nobody needs."""
    overrides = Overrides(set=("workers=2", *options), subset="scaling", bed=bed(folder))
    cell = cells(load("training", overrides))[0]
    fleet = SimpleNamespace(inventory=inventory.load(cell.bed))
    work: Any = SimpleNamespace(fleet=fleet, cell=cell, name="run-1-1", directory=folder)
    return TrainingPipeline(work)


def spec(made: TrainingPipeline) -> dict[str, Any]:
    work = made._work
    return training.training_spec(work, place(work.cell.streaming, work.fleet.inventory), "mnist")


def test_each_ranked_training_keeps_its_checkpoint_beside_its_weights(tmp_path: Path) -> None:
    told = spec(pipeline(tmp_path))
    assert Path(told["checkpoint"]).parent == Path(told["out"]).parent
    assert told["checkpoint"] != told["out"]
    assert spec(pipeline(tmp_path, "engine=spark-mlp"))["checkpoint"] is None


def test_executors_elsewhere_fail_the_cell_before_it_trains(tmp_path: Path) -> None:
    made = pipeline(tmp_path)
    made._refuse_elsewhere({"executors": {"0": "10.9.0.21", "1": "10.9.0.22"}})
    with pytest.raises(CellFailure, match="workers_act"):
        made._refuse_elsewhere({"executors": {"0": "10.9.0.21", "1": "10.9.0.25"}})
    assert [reading.ok for reading in made.partial().readings] == [True, False]


def test_a_training_that_failed_leaves_its_checkpoint_where_there_is_one(tmp_path: Path) -> None:
    made = pipeline(tmp_path)
    asked: list[tuple[str, Path]] = []

    async def get(source: str, target: Path) -> None:
        asked.append((source, target))

    async def missing(source: str, _target: Path) -> None:
        raise BedFailure(f"no {source}")

    without: Any = SimpleNamespace(get=missing)
    asyncio.run(made._keep_checkpoint(without))
    master: Any = SimpleNamespace(get=get)
    asyncio.run(made._keep_checkpoint(master))
    assert asked == [(spec(made)["checkpoint"], tmp_path / training.CHECKPOINT)]
