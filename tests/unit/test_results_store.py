"""Runs on disk: durable, resumable, never mixed, and clear when they are damaged."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from streambed import paths
from streambed.errors import StreambedError
from streambed.experiment import Execution, Overrides, load
from streambed.experiment.factors import StreamingConfiguration
from streambed.results import run as runs
from streambed.results import show, writer
from streambed.results.manifest import Facts
from streambed.results.measures import StreamingMeasures, measures_of
from streambed.results.row import Flag, Row, Status, plain
from streambed.results.writer import Attempt, RunWriter
from streambed.runner import provenance


def row_of(attempt: Attempt, status: Status = "ok", rate: float | None = 1500.0) -> Row:
    return Row(
        cell=attempt.execution.cell,
        repeat=attempt.execution.repeat,
        attempt=attempt.number,
        status=status,
        started_at=attempt.started_at,
        ended_at=attempt.started_at + 30,
        measures=StreamingMeasures(image_rate_per_s=rate, lost=0),
        reason=None if status == "ok" else "goodput: 9.1 Mbit/s, expected 9.57",
        gates={"goodput_before": {"up_mbit_per_s": 9.56, "within": True}},
    )


def execute(store: RunWriter, execution: Execution, status: Status = "ok") -> None:
    store.append(row_of(store.begin(execution), status))


def test_a_row_holds_what_everybody_agreed_on(tmp_path: Path) -> None:
    with writer.create(load("small"), tmp_path) as store:
        execute(store, store.executions[0])
        directory = store.directory
    (row,) = runs.open_run(directory).rows()
    agreed = (
        "status flags attempt repeat cell bandwidth_mbit_per_s trigger_s images payload_bytes "
        "image_rate_per_s makespan_image_rate_per_s goodput_up_mbit_per_s goodput_down_mbit_per_s "
        "link_utilisation micro_batch_mean_s micro_batch_p95_s lost duplicates accuracy "
        "cold_start_s reason started_at ended_at gates"
    )
    assert set(agreed.split()) <= set(row)
    assert set(measures_of("streaming")) <= set(row)
    assert row["gates"]["goodput_before"] == {"up_mbit_per_s": 9.56, "within": True}
    assert (row["payload_bytes"], row["lost"], row["flags"]) == (784, 0, [])


def test_json_has_null_and_never_nan(tmp_path: Path) -> None:
    with writer.create(load("small"), tmp_path) as store:
        attempt = store.begin(store.executions[0])
        row = row_of(attempt, rate=float("nan"))
        store.append(row)
        run = runs.open_run(store.directory)
    text = show.to_json(run)
    assert "NaN" not in text
    assert json.loads(text)[0]["image_rate_per_s"] is None


def test_numpy_values_become_plain() -> None:
    given = {"a": np.float64("inf"), "b": np.array([1.5, np.nan]), "c": np.int64(3), 4: {"x"}}
    assert plain(given) == {"a": None, "b": [1.5, None], "c": 3, "4": ["x"]}


def test_columns_carry_unit_and_meaning(tmp_path: Path) -> None:
    with writer.create(load("small"), tmp_path) as store:
        execute(store, store.executions[0])
        schema = pq.read_schema(store.directory / "cells.parquet")
    field = schema.field("image_rate_per_s")
    assert (field.metadata or {})[b"unit"] == b"images/s"
    assert str(schema.field("duplicates").type) == "int64"
    assert str(schema.field("offered_rate_images_per_s").type) == "double"


def test_a_row_that_is_not_ok_needs_a_reason(tmp_path: Path) -> None:
    with writer.create(load("small"), tmp_path) as store:
        attempt = store.begin(store.executions[0])
        bad = Row(attempt.execution.cell, 1, 1, "failed", 0.0, 1.0)
        with pytest.raises(ValueError, match="reason"):
            store.append(bad)


def test_resume_runs_only_what_is_missing_or_failed(tmp_path: Path) -> None:
    with writer.create(load("small"), tmp_path) as store:
        first, second, *rest = store.executions
        execute(store, first)
        execute(store, second, "failed")
    with writer.resume(load("small"), tmp_path) as store:
        assert [e.key for e in store.pending()] == [e.key for e in (second, *rest)]
        assert store.state_of(second) == "failed"
        for execution in store.pending():
            execute(store, execution)
        store.finish()
        run = runs.open_run(store.directory)
    assert [row["status"] for row in run.rows()] == ["ok"] * 4
    assert len(run.rows(every_attempt=True)) == 5
    assert {r["attempt"] for r in run.rows() if r["cell"] == second.cell.id} == {2}
    assert run.manifest.finished_at
    assert len(run.manifest.resumed_at) == 1


def test_more_repeats_are_appended(tmp_path: Path) -> None:
    with writer.create(load("small"), tmp_path) as store:
        for execution in store.executions:
            execute(store, execution)
    with writer.resume(load("small", Overrides(repeats=2)), tmp_path) as store:
        assert {e.repeat for e in store.pending()} == {2}
        assert len(store.executions) == 8


def test_results_of_another_configuration_are_not_mixed(tmp_path: Path) -> None:
    with writer.create(load("small"), tmp_path) as store:
        execute(store, store.executions[0])
        before = (store.directory / "cells.parquet").read_bytes()
        directory = store.directory
    with pytest.raises(StreambedError, match=r"config\.partitions: 2 then, 3 now"):
        writer.resume(load("small", Overrides(set=("partitions=3",))), tmp_path)
    other = load("small", Overrides(set=("bandwidth=10 Mbit/s,50 Mbit/s",)))
    with pytest.raises(StreambedError, match="'50 Mbit/s, 1 s'"):
        writer.resume(other, tmp_path)
    assert (directory / "cells.parquet").read_bytes() == before


def test_facts_fill_in_but_do_not_change_once_there_are_rows(tmp_path: Path) -> None:
    with writer.create(load("small"), tmp_path) as store:
        store.record_facts(Facts(versions={"kafka": "4.3.1"}, project={"commit": "a"}))
        execute(store, store.executions[0])
        store.record_facts(Facts(versions={"spark": "4.0.0"}, project={"commit": "b"}))
        with pytest.raises(StreambedError, match=r"versions\.kafka: '4\.3\.1' then, '4\.4' now"):
            store.record_facts(Facts(versions={"kafka": "4.4"}))
        facts = runs.open_run(store.directory).manifest.facts
    assert facts.versions == {"kafka": "4.3.1", "spark": "4.0.0"}
    assert facts.project == {"commit": "b"}


def test_each_bed_of_a_run_has_its_own_settings_of_spark(tmp_path: Path) -> None:
    config = StreamingConfiguration()
    with writer.create(load("small"), tmp_path) as store:
        store.record_facts(provenance.of_spark("duo", config, {"spark.master": "spark://a:7077"}))
        execute(store, store.executions[0])
        store.record_facts(provenance.of_spark("ha", config, {"spark.master": "spark://b:7077"}))
        moved = provenance.of_spark("duo", config, {"spark.master": "spark://c:7077"})
        with pytest.raises(StreambedError, match=r"'spark://a:7077' then, 'spark://c:7077' now"):
            store.record_facts(moved)


def test_two_runners_do_not_share_a_run(tmp_path: Path) -> None:
    with (
        writer.create(load("small"), tmp_path) as store,
        pytest.raises(StreambedError, match="another runner"),
    ):
        writer.resume(load("small"), tmp_path, run=str(store.directory))


RUN_UNTIL_KILLED = """
import pathlib, signal, sys
from streambed.experiment import load
from streambed.results import writer
from streambed.results.row import Row

store = writer.create(load("small"), pathlib.Path(sys.argv[1]))
attempt = store.begin(store.executions[0])
store.append(Row(attempt.execution.cell, 1, 1, "ok", attempt.started_at, attempt.started_at + 30))
store.begin(store.executions[1])
print(store.directory, flush=True)
signal.pause()
"""


def test_a_kill_loses_no_finished_row_and_marks_the_cell(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(paths.ROOT / "app")}
    with subprocess.Popen(
        [sys.executable, "-c", RUN_UNTIL_KILLED, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stdout
        directory = Path(process.stdout.readline().strip())
        assert runs.open_run(directory).under_way()
        assert [row["status"] for row in runs.open_run(directory).rows()] == ["ok"]
        process.kill()

    killed = runs.open_run(directory)
    assert [row["status"] for row in killed.rows()] == ["ok", "interrupted"]
    assert killed.rows()[1]["bandwidth_mbit_per_s"] in (10.0, 100.0)
    with writer.resume(load("small"), tmp_path) as store:
        again = store.pending()[0]
        assert store.state_of(again) == "interrupted"
        assert store.begin(again).number == 2
        assert [row["status"] for row in store.rows] == ["ok", "interrupted"]


def test_a_full_disk_leaves_the_rows_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with writer.create(load("small"), tmp_path) as store:
        execute(store, store.executions[0])
        attempt = store.begin(store.executions[1])

        def full(_descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(StreambedError, match="No space left") as caught:
                store.append(row_of(attempt))
        assert "--resume" in caught.value.hint
        assert len(store.rows) == 1
        store.append(row_of(attempt))
        assert len(runs.open_run(store.directory).rows()) == 2
        assert not list(store.directory.glob(".cells*"))


def test_runs_are_found_by_path_by_name_and_by_experiment(tmp_path: Path) -> None:
    with writer.create(load("small"), tmp_path) as old:
        pass
    with writer.create(load("small"), tmp_path) as new:
        pass
    assert old.directory != new.directory
    assert runs.find("small", tmp_path).directory == new.directory
    assert runs.find(old.directory.name, tmp_path).directory == old.directory
    assert runs.find(str(old.directory), Path("/nowhere")).directory == old.directory
    with pytest.raises(StreambedError, match=old.directory.name):
        runs.find("smal", tmp_path)
    with pytest.raises(StreambedError, match="no run of experiment 'other'"):
        runs.newest("other", tmp_path)


def test_foreign_and_damaged_runs_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(StreambedError, match=r"not a run: it has no manifest\.json"):
        runs.find(str(tmp_path))
    with writer.create(load("small"), tmp_path) as store:
        execute(store, store.executions[0])
        directory = store.directory
    (directory / "cells.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(StreambedError, match=r"cells\.parquet: damaged"):
        runs.open_run(directory).rows()
    text = (directory / "manifest.json").read_text()
    for broken in (text[:100], "[]", '{"format": 1}', text.replace('"seed": ', '"seed": "x')):
        (directory / "manifest.json").write_text(broken)
        with pytest.raises(StreambedError, match=r"manifest\.json: damaged"):
            runs.open_run(directory)
    (directory / "manifest.json").write_text(text.replace('"format": 1', '"format": 99'))
    with pytest.raises(StreambedError, match="format 99"):
        runs.open_run(directory)


def test_flags_are_kept(tmp_path: Path) -> None:
    with writer.create(load("small"), tmp_path) as store:
        attempt = store.begin(store.executions[0])
        flagged = Row(
            cell=attempt.execution.cell,
            repeat=1,
            attempt=1,
            status="ok",
            started_at=0.0,
            ended_at=1.0,
            flags=frozenset({Flag.DRIVER_BOUND, Flag.CONTENDED}),
        )
        store.append(flagged)
        assert runs.open_run(store.directory).rows()[0]["flags"] == ["contended", "driver_bound"]
