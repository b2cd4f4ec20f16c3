"""Tasks of the stages that end before the result topic, and the rivals' processes."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from streambed.pipelines import answers, predict, records, stages, worker
from streambed.pipelines.errors import SpecError

APP = Path(__file__).resolve().parents[2] / "app"
SHAPE = (2, 3)


class Broadcast:
    """What Spark hands a task: an object with `value`."""

    def __init__(self, value: Any) -> None:
        self.value = value


class FirstPixel(worker.Classify):
    """A task whose model calls the value of the first pixel the label."""

    def __init__(self) -> None:
        super().__init__("0" * 16, SHAPE, None, worker.Outlets("results", "dead"))

    def model(self) -> worker.ShapedModel:
        class Model:
            def predict(self, images: Any) -> Any:
                return images[:, 0, 0].astype(np.int32)

        return worker.ShapedModel(Model(), SHAPE)

    def __call__(self, batches: Iterator[Any]) -> Iterator[Any]:
        return self.run(batches, 0, 0)


def arrow_batch(ids: range) -> Any:
    count = len(ids)
    return pa.RecordBatch.from_pydict(
        {
            "key": pa.array([i.to_bytes(8, "big") for i in ids], pa.binary()),
            "value": pa.array([bytes([i % 5] + [0] * 5) for i in ids], pa.binary()),
            "size": pa.array([6] * count, pa.int32()),
            "partition": pa.array([0] * count, pa.int32()),
            "offset": pa.array(range(count), pa.int64()),
            "timestamp": pa.array([0] * count, pa.timestamp("us", "UTC")),
            "headed": pa.array([False] * count),
        }
    )


def made(truth: list[int], offline: list[int], decided: list[bool]) -> answers.Answers:
    return answers.Answers(
        np.array(truth, np.int32), np.array(offline, np.int32), np.array(decided)
    )


def test_the_model_stage_counts_right_labels_and_those_other_than_offline() -> None:
    truth = made([0, 1, 2, 3, 9], [0, 1, 9, 9, 4], [True, True, True, False, True])
    task = stages.Checked(FirstPixel(), Broadcast(truth))
    out = list(task(iter([arrow_batch(range(10)), arrow_batch(range(10, 15))])))
    assert [batch.column("images").to_pylist() for batch in out] == [[10], [5]]
    # Of five images one has another right label, one differs from offline where that is decided.
    assert [batch.column("correct").to_pylist() for batch in out] == [[8], [4]]
    assert [batch.column("mismatches").to_pylist() for batch in out] == [[2], [1]]


def test_what_a_stage_sets_aside_is_missing_in_its_counts() -> None:
    bad = arrow_batch(range(4)).set_column(1, "value", pa.array([bytes(6), b"", b"x", bytes(6)]))
    task = stages.Checked(FirstPixel(), Broadcast(made([0] * 5, [0] * 5, [True] * 5)))
    (out,) = task(iter([bad]))
    assert out.column("images").to_pylist() == [2]


def test_the_identity_stage_packs_every_image_without_a_model() -> None:
    task = stages.Identity(FirstPixel())
    packing = task._function
    (out,) = packing.run(iter([arrow_batch(range(10))]), 0, 0)
    record = records.decode(out.column(0).to_pylist()[0])
    assert record.ids.tolist() == list(range(10))
    assert record.labels.tolist() == [0] * 10


@pytest.mark.parametrize(("stage", "reference"), [("sink", None), ("model", None)])
def test_a_stage_that_cannot_be_is_refused(stage: str, reference: str | None) -> None:
    with pytest.raises(ValueError, match="stage"):
        stages.check(stage, reference)


def test_a_reference_of_another_data_set_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "reference.npz"
    np.savez(path, labels=np.zeros(3, np.int32), margin=np.ones(3, np.float32))
    assert len(answers.read_reference(str(path), 3)[0]) == 3
    with pytest.raises(SpecError, match="3 labels"):
        answers.read_reference(str(path), 4)


def test_processes_share_the_images_without_a_gap() -> None:
    shares = [np.concatenate(list(predict.ids_of(i, 3, 1001, 10))) for i in range(3)]
    assert sorted(np.concatenate(shares).tolist()) == list(range(1001))


PARALLEL = """
import sys
from streambed.pipelines import parallel
from streambed.pipelines.protocol import emit, run_program

def prepare(spec, index, processes):
    def work(report):
        for _ in range(3):
            report(10)
        if spec == index:
            raise KeyError("a bug")
        return {"images": 30, "of": processes}
    return work

def program(raw, commands):
    parts = parallel.run(prepare, raw["failing"], 2)
    emit("done", parts=parts)

if __name__ == "__main__":
    sys.exit(run_program(lambda: program))
"""


def run_parallel(tmp_path: Path, failing: int) -> tuple[int, list[dict[str, Any]]]:
    script = tmp_path / "two.py"
    script.write_text(PARALLEL)
    # Its input stays open until it has ended: the end of the input is the end of the controller.
    with subprocess.Popen(
        [sys.executable, str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(APP)},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps({"failing": failing}) + "\n")
        process.stdin.flush()
        events = [json.loads(line) for line in process.stdout]
        return process.wait(), events


def test_two_processes_work_and_are_heard(tmp_path: Path) -> None:
    status, events = run_parallel(tmp_path, failing=-1)
    assert status == 0
    assert events[0]["event"] == "ready"
    done = {0: 0, 1: 0}
    for event in events[1:-1]:
        done[event["worker"]] += event["images"]
    assert done == {0: 30, 1: 30}
    assert events[-1]["parts"] == [{"images": 30, "of": 2}] * 2


def test_one_failing_process_fails_the_program(tmp_path: Path) -> None:
    status, events = run_parallel(tmp_path, failing=1)
    assert status != 0
    assert events[-1]["event"] == "failed"
    assert "a bug" in events[-1]["reason"]
