"""A training on the cluster: refused without its engine, resumed after a worker's death, published.

Engine `chainermn` must be pinned (`./streambed lock --engine chainermn`).
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from tests.system.tools import Bed, changes, line_with, rows, start, streambed

from streambed.results import epochs, run
from streambed.runner.training import CHECKPOINT, WEIGHTS

pytestmark = pytest.mark.long

EPOCHS = 6
KILL_RANKS = "pkill -KILL -f '[t]raining.chainer_replica'"


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One cell on two workers, with 4,000 images of bars at ten heights."""
    folder = tmp_path_factory.mktemp("training")
    images = folder / "bars"
    images.mkdir()
    random = np.random.default_rng(1)
    labels = random.integers(0, 10, 4_000, dtype=np.int32)
    pixels = random.integers(0, 100, (len(labels), 28, 28), dtype=np.uint8)
    for row in range(3):
        pixels[np.arange(len(labels)), 2 * labels + 3 + row] += 120
    np.save(images / "images.npy", pixels)
    np.save(images / "labels.npy", labels)
    path = folder / "trained.yml"
    content: dict[str, Any] = {
        "name": "trained",
        "pipeline": "training",
        "fixed": {
            "workers": 2,
            "batch_size": 200,
            "epochs": EPOCHS,
            "images": str(images),
            # Two pixels further is the bar of the next label.
            "augment": "none",
        },
        "gates": {"contended_above": "25 %"},
    }
    path.write_text(yaml.safe_dump(content))
    return str(path)


def test_an_engine_that_the_bed_lacks_is_refused(cluster: Bed, experiment: str) -> None:
    said = streambed("plan", experiment, "-i", cluster.path, status=1).stderr
    assert f"./streambed up -i {cluster.path} --engines chainermn" in said


def test_a_training_survives_the_death_of_a_worker(
    cluster: Bed, experiment: str, tmp_path: Path
) -> None:
    """The rest goes on from the last epoch, and so does the worker when it is back."""
    streambed("up", "-i", cluster.path, "--engines", "chainermn")
    # A play by hand forgets nothing of it.
    assert changes(cluster.playbook()) == []
    options = ("-i", cluster.path, "--results", str(tmp_path))
    with start("run", experiment, *options) as running:
        line_with(running, f"epoch 1 of {EPOCHS}")
        cluster.root("worker2", "systemctl kill --signal=KILL spark-worker")
        line_with(running, "a worker was lost after epoch")
        assert running.stderr is not None
        said = running.stderr.read()
        assert running.wait(60) == 0, said
    attempts = rows(tmp_path, "trained", "--all")
    row = attempts[0]
    assert (row["status"], row["resumed"]) == ("ok", 1), row["reason"]
    assert "disturbed" in row["flags"]
    assert "worker2 spark-worker" in row["gates"]["nothing_died"]["measured"]

    found = run.find("trained", tmp_path)
    curve = epochs.read(found.raw_directory(row) / epochs.FILE)
    assert [entry.epoch for entry in curve] == list(range(1, EPOCHS + 1))
    assert {entry.stretch for entry in curve} == {1, 2}
    assert row["top1"] > 0.9
    # No second of the cell is in two figures.
    parts = ("cold_start_s", "prepare_s", "launch_s", "train_s", "evaluate_s", "lost_s")
    assert row["lost_s"] > 0
    assert sum(row[part] for part in parts) <= row["ended_at"] - row["started_at"]
    told = json.loads((found.raw_directory(row) / "events.json").read_text())["events"]
    (lost,) = [event for event in told if event["event"] == "lost"]
    assert "rank " in lost["reason"], lost

    weights = (found.directory / WEIGHTS).read_bytes()
    assert hashlib.sha256(weights).hexdigest() in {a["weights_sha256"] for a in attempts}
    streambed("verify", "-i", cluster.path)


def test_a_rank_that_is_killed_again_and_again_is_no_lost_worker(
    cluster: Bed, experiment: str, tmp_path: Path
) -> None:
    """It is started again once; then the row says what ended it, and has what was reached."""
    options = ("-i", cluster.path, "--results", str(tmp_path), "--set", "epochs=20")
    with start("run", experiment, *options) as running:
        line_with(running, "epoch 1 of 20: loss")
        cluster.root("worker2", KILL_RANKS)
        line_with(running, "a rank was lost after epoch")
        line_with(running, " of 20: loss")
        cluster.root("worker2", KILL_RANKS)
        assert running.stderr is not None
        said = running.stderr.read()
        assert running.wait(60) == 1, said
    (row,) = rows(tmp_path, "trained")
    assert row["status"] == "failed"
    assert "every worker is there, and it is not the first time" in row["reason"]
    assert "rank " in row["reason"]
    left = run.find("trained", tmp_path).raw_directory(row)
    with np.load(left / CHECKPOINT) as kept:
        assert int(kept["reached/epochs"]) >= 1
    told = json.loads((left / "events.json").read_text())["events"]
    assert [e["workers_stay"] for e in told if e["event"] == "lost"] == [True, True]
    streambed("verify", "-i", cluster.path)
