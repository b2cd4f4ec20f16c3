"""Pipeline `training` on the controller: what makes a training count, and its figures."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.trainings import CONFIG, NODES, STEPS, done

from streambed.errors import StreambedError
from streambed.experiment.schema import Gates
from streambed.gates import training as gates
from streambed.gates.reading import failed_reasons
from streambed.results import epochs, speed_up
from streambed.results import training as figures
from streambed.results.epochs import EpochRun


def test_images_and_updates_are_those_that_were_asked_for() -> None:
    assert gates.images_trained(done(), STEPS).ok
    assert not gates.images_trained(done(images=179_999), STEPS).ok
    assert gates.images_trained(done(images=180_003, losses=1), STEPS).ok
    assert not gates.images_trained(done(images=120_000, losses=1), STEPS).ok
    bounded = replace(CONFIG, iterations=100).steps(60_000)
    some = {"updates": 100, "curve": done()["curve"][:2], "losses": 1}
    assert gates.images_trained(done(images=76_300, **some), bounded).ok
    assert not gates.images_trained(done(images=60_000, **some), bounded).ok
    assert not gates.images_trained(done(images=90_000, **some), bounded).ok
    assert gates.updates_act(done(), STEPS).ok
    assert gates.updates_act(done(updates=STEPS.updates + 1, losses=1), STEPS).ok
    assert not gates.updates_act(done(updates=STEPS.updates + 9, losses=1), STEPS).ok
    assert not gates.updates_act(done(updates=3), STEPS).ok
    assert not gates.updates_act(done(curve=done()["curve"][1:]), STEPS).ok


def test_ranks_are_where_they_should_be_each_with_images_of_its_own() -> None:
    assert gates.ranks_act(CONFIG, done(), NODES).ok
    one = done()["ranks"][:1]
    assert not gates.ranks_act(CONFIG, done(ranks=one), NODES).ok
    assert gates.ranks_act(CONFIG, done(ranks=one, losses=1), NODES).ok
    twice = [{**rank, "address": "10.9.0.21", "pid": n} for n, rank in enumerate(done()["ranks"])]
    assert not gates.ranks_act(CONFIG, done(ranks=twice), NODES).ok
    same = [{**rank, "shard": 0} for rank in done()["ranks"]]
    assert not gates.ranks_act(CONFIG, done(ranks=same), NODES).ok
    assert gates.ranks_act(
        replace(CONFIG, workers=1, ranks=2), done(ranks=twice), {"10.9.0.21": "worker1"}
    ).ok
    assert gates.executors_act({"0": "10.9.0.22", "1": "10.9.0.21"}, NODES).ok
    assert not gates.executors_act({"0": "10.9.0.22"}, NODES).ok


def test_the_engine_names_itself() -> None:
    assert gates.engine_acts("chainermn", done()).ok
    assert not gates.engine_acts("torch", done()).ok
    ranks = done()["ranks"]
    ranks[1] = {**ranks[1], "versions": {"engine": "chainermn", "chainer": "7.8.0"}}
    assert not gates.engine_acts("chainermn", done(ranks=ranks)).ok
    assert gates.engine_acts("spark-mlp", done(ranks=[], block_size=768)).ok
    assert not gates.engine_acts("spark-mlp", done()).ok


def test_what_was_learnt_is_what_the_weights_say() -> None:
    assert gates.learnt_as_told(0.9881, 0.9880).ok
    assert not gates.learnt_as_told(0.99, 0.98).ok
    limits = Gates.model_validate({"min_accuracy": "98.5 %", "min_accuracy_epochs": CONFIG.epochs})
    assert failed_reasons(gates.learnt(CONFIG, 0.98, limits))
    assert not failed_reasons(gates.learnt(CONFIG, 0.986, limits))
    assert gates.learnt(replace(CONFIG, iterations=9), 0.1, limits) == []
    assert gates.learnt(replace(CONFIG, engine="spark-mlp"), 0.1, limits) == []
    assert gates.learnt(replace(CONFIG, epochs=CONFIG.epochs - 1), 0.1, limits) == []


def test_every_image_is_in_a_shard() -> None:
    shards = [{"shard": n, "images": 30_000, "variants": 2} for n in (0, 1)]
    assert gates.shards_written({"shards": shards}, 60_000, "shift").ok
    assert gates.shards_written({"shards": shards}, 59_999, "shift").ok
    assert not gates.shards_written({"shards": shards}, 60_001, "shift").ok
    assert not gates.shards_written({"shards": shards[1:]}, 30_000, "shift").ok
    assert not gates.shards_written({"shards": shards}, 60_000, "none").ok


def test_the_figures_leave_evaluations_out_of_the_rate() -> None:
    judged = {"top1": 0.99, "top5": 0.9999, "loss": 0.03}
    seen = figures.measures(done(), judged, 30.0)
    assert seen.image_rate_per_s == 1200
    assert seen.prepare_share == pytest.approx(0.1)
    assert seen.wait_share == pytest.approx(0.1)
    assert (seen.top1, seen.all_ranks, seen.resumed) == (0.99, 2, 0)
    untold = [{**entry, "wait_s": None} for entry in done()["curve"]]
    assert figures.measures(done(curve=untold), judged, 30.0).wait_share is None


def row(workers: int, rate: float, **more: Any) -> dict[str, Any]:
    given = {"status": "ok", "workers": workers, "image_rate_per_s": rate, "speed_up": None}
    return {**given, "engine": "chainermn", "batch_size": 768, "epochs": 3, **more}


def test_the_speed_up_is_against_the_fewest_workers_of_the_same_training() -> None:
    rows = [row(2, 1700.0), row(1, 1000.0), row(4, 3000.0, engine="torch"), row(1, 900.0)]
    rows.append(row(4, 9.0, status="failed"))
    rows.append({"status": "ok", "workers": 1, "image_rate_per_s": 5.0})
    speed_up.fill(rows)
    assert rows[0]["speed_up"] == pytest.approx(1700 / 950)
    assert rows[1]["speed_up"] == pytest.approx(1000 / 950)
    assert rows[2]["speed_up"] == 1
    assert rows[4]["speed_up"] is None
    assert "speed_up" not in rows[5]


def test_epochs_are_kept_as_they_were(tmp_path: Path) -> None:
    listed = [EpochRun.of_event({**entry, "rank": 0}) for entry in done()["curve"]]
    listed.append(EpochRun(epoch=4, loss=0.1, ranks=2, stretch=1))
    epochs.write(tmp_path / epochs.FILE, listed)
    assert epochs.read(tmp_path / epochs.FILE) == listed
    (tmp_path / epochs.FILE).write_bytes(b"no table")
    with pytest.raises(StreambedError, match=r"epochs\.parquet"):
        epochs.read(tmp_path / epochs.FILE)
