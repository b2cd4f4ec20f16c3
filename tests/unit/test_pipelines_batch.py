"""What runs on the nodes of a batch: assignments, chunks, settings, and Spark's event log."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streambed.pipelines import assignment, chunks
from streambed.pipelines.answers import Answers
from streambed.pipelines.batch import BatchSpec, JobSpec
from streambed.pipelines.errors import ServiceError, SpecError
from streambed.pipelines.event_log import EventLog, Tail
from streambed.pipelines.locality import Locality, wait_setting
from streambed.pipelines.protocol import Commands
from streambed.pipelines.spec import parse
from streambed.pipelines.worker import ShapedModel

EQUAL = assignment.relative_sizes(40, assignment.EQUAL)
MIXED = assignment.relative_sizes(40, assignment.MIXED)


# --- which partition ------------------------------------------------------------------------


def test_texts_as_keys_collide_as_published_and_a_seed_decides_where() -> None:
    found = assignment.partition_of(assignment.HASH, EQUAL, 40, 3)
    assert max(Counter(found).values()) == 3
    assert len(set(found)) < 40
    assert found == assignment.partition_of(assignment.HASH, EQUAL, 40, 3)
    assert found != assignment.partition_of(assignment.HASH, EQUAL, 40, 4)


@pytest.mark.parametrize("seed", range(8))
def test_every_seed_fills_one_of_forty_partitions_with_three_chunks_or_more(seed: int) -> None:
    found = assignment.partition_of(assignment.HASH, EQUAL, 40, seed)
    assert max(Counter(found).values()) >= 3


def test_a_hash_is_what_a_python_worker_of_that_seed_says() -> None:
    code = "print(hash('chunk-07') % 40)"
    said = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": "3"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert assignment.partition_of(assignment.HASH, EQUAL, 40, 3)[7] == int(said)


@pytest.mark.parametrize("partitions", [1, 3, 8, 25, 39, 40])
@pytest.mark.parametrize("name", [assignment.EVEN, assignment.WEIGHTED])
def test_the_cures_differ_by_one_chunk_at_most(name: str, partitions: int) -> None:
    counts = Counter(assignment.partition_of(name, EQUAL, partitions, 0))
    filled = [counts[p] for p in range(partitions)]
    assert sum(filled) == 40
    assert max(filled) - min(filled) <= 1


@pytest.mark.parametrize("workers", [1, 2, 4, 5])
def test_nodes_get_the_same_of_forty_chunks_in_any_number_of_threads(workers: int) -> None:
    for partitions in (8 * workers, 40):
        for name in (assignment.EVEN, assignment.WEIGHTED):
            found = assignment.partition_of(name, EQUAL, partitions, 0)
            counts = [len(group) for group in assignment.by_node(found, workers)]
            assert counts == [40 // workers] * workers


def test_weights_level_what_a_turn_each_does_not() -> None:
    def fullest(name: str) -> float:
        loads: Counter[int] = Counter()
        for size, partition in zip(MIXED, assignment.partition_of(name, MIXED, 10, 0), strict=True):
            loads[partition] += size  # type: ignore[assignment]
        return max(loads.values())

    assert sum(MIXED) == pytest.approx(40)
    assert fullest(assignment.WEIGHTED) < 4.1
    assert fullest(assignment.EVEN) > 4.3


def test_a_lookup_is_what_partition_by_takes() -> None:
    lookup = assignment.Lookup({assignment.key_of(0): 3, assignment.key_of(39): 7})
    assert (lookup("chunk-00"), lookup("chunk-39")) == (3, 7)


# --- chunks ---------------------------------------------------------------------------------


def images(count: int) -> Any:
    return np.arange(count * 4, dtype=np.uint8).reshape(count, 2, 2)


def test_all_chunks_together_are_the_data_set_each_image_once() -> None:
    cut = chunks.cut(images(50), [1.0] * 8, 100, None)
    assert b"".join(chunk.pixels for chunk in cut) == images(50).tobytes()
    assert [chunk.index for chunk in cut] == list(range(8))
    assert sum(chunk.images for chunk in cut) == 800


def test_mixed_sizes_keep_the_sum_of_images_and_of_time() -> None:
    cut = chunks.cut(images(80), MIXED, 333, None)
    assert sum(chunk.images for chunk in cut) == 40 * 333
    assert cut[-1].images == pytest.approx(3 * cut[0].images, rel=0.02)
    timed = chunks.cut(images(80), MIXED, 333, 2.0)
    assert sum(chunk.service_s or 0 for chunk in timed) == pytest.approx(80)
    assert {(chunk.images, chunk.pixels) for chunk in timed} == {(0, b"")}


class FirstPixel:
    """Calls the value of the first pixel, modulo 10, the label."""

    def predict(self, found: Any) -> Any:
        return (found[:, 0, 0] % 10).astype(np.int32)


def test_a_chunk_classifies_its_own_images_over_and_over() -> None:
    data = images(20)
    right = (data[:, 0, 0] % 10).astype(np.int32)
    answers = Answers(right, right, np.ones(20, bool))
    model = ShapedModel(FirstPixel(), (2, 2))
    (_, second) = chunks.cut(data, [1.0, 1.0], 5003, None)
    assert chunks.classified(model, second, 20, answers) == (5003, 0)
    other = Answers(np.roll(right, 1), np.roll(right, 1), np.ones(20, bool))
    correct, mismatches = chunks.classified(model, second, 20, other)
    assert correct + mismatches == 5003
    assert mismatches > 0


def test_a_timed_chunk_sleeps_and_reports_where_and_when() -> None:
    evaluate = chunks.Evaluate("0" * 16, (2, 2), 20, None, None)
    (chunk, *_) = chunks.cut(images(20), [1.0] * 2, 10, 0.02)
    report = evaluate.report(chunk, partition=4, task=11, attempt=0)
    assert report["end_s"] - report["start_s"] >= 0.0199
    assert (report["chunk"], report["partition"], report["task"]) == (0, 4, 11)
    assert (report["pid"], report["images"]) == (os.getpid(), 0)


# --- settings and specs ---------------------------------------------------------------------


def test_the_settings_say_wait_timer_and_place() -> None:
    published = Locality("legacy", preferred=True).settings()
    assert published["spark.locality.wait.legacyResetOnTaskLaunch"] == "true"
    assert published["spark.shuffle.reduceLocality.enabled"] == "true"
    assert wait_setting(3.0) == {"spark.locality.wait": "3000ms"}
    assert wait_setting(0.0) == {"spark.locality.wait": "0ms"}
    none = Locality("current", preferred=False).settings()
    assert none["spark.locality.wait.legacyResetOnTaskLaunch"] == "false"
    assert none["spark.shuffle.reduceLocality.enabled"] == "false"


APPLICATION = {
    "master_url": "spark://m:7077",
    "driver_address": "10.0.0.1",
    "model": {"kind": "mlp", "weights": "w.npz"},
    "reference": "r.npz",
    "locality_timer": "legacy",
    "prefer_node": True,
}
JOB = {
    "name": "a",
    "partitions": 9,
    "assignment": "hash",
    "chunk_work": "timed",
    "locality_wait_s": 3,
}


def test_an_application_has_a_thread_of_its_own_for_each_core() -> None:
    assert parse(BatchSpec, {**APPLICATION, "executors": 3}).threads == 24


@pytest.mark.parametrize(
    ("cls", "given", "words"),
    [
        (BatchSpec, {**APPLICATION, "locality_timer": "old"}, "legacy, current"),
        (BatchSpec, {**APPLICATION, "executors": 0}, "executors"),
        (JobSpec, {**JOB, "assignment": "random"}, "hash, even, weighted"),
        (JobSpec, {**JOB, "chunk_work": "spin"}, "model, timed"),
        (JobSpec, {**JOB, "partitions": 0}, "partitions"),
        (JobSpec, {**JOB, "locality_wait_s": -1}, "locality_wait_s"),
    ],
)
def test_a_spec_that_cannot_be_is_refused(cls: type, given: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        parse(cls, given)


def test_commands_are_taken_whole_and_in_order() -> None:
    commands = Commands()
    commands._untaken.extend([{"command": "job", "name": "a"}, {"command": "stop"}])
    assert commands.take() == {"command": "job", "name": "a"}
    assert commands.take()["command"] == "stop"


# --- Spark's event log ----------------------------------------------------------------------


def task_end(task: int, stage: int, partition: int, **more: Any) -> dict[str, Any]:
    info = {
        "Task ID": task,
        "Index": partition,
        "Attempt": more.get("attempt", 0),
        "Partition ID": partition,
        "Launch Time": 1_000 * task,
        "Executor ID": "0",
        "Host": "10.9.0.21",
        "Locality": more.get("locality", "NODE_LOCAL"),
        "Speculative": False,
        "Finish Time": 1_000 * task + 500,
        "Failed": "reason" in more,
        "Accumulables": [],
    }
    return {
        "Event": "SparkListenerTaskEnd",
        "Stage ID": stage,
        "Stage Attempt ID": more.get("stage_attempt", 0),
        "Task Type": more.get("kind", "ResultTask"),
        "Task End Reason": {"Reason": more.get("reason", "Success")},
        "Task Info": info,
        "Task Metrics": {"Executor Run Time": 450},
    }


def job_events(job: int, group: str, stages: tuple[int, int]) -> list[dict[str, Any]]:
    """A job with one map task and two result tasks, the second of them tried twice."""
    first, second = stages
    return [
        {
            "Event": "SparkListenerJobStart",
            "Job ID": job,
            "Submission Time": 1_700_000_000_000 + job,
            "Stage IDs": [first, second],
            "Properties": {"spark.jobGroup.id": group},
        },
        {"Event": "SparkListenerStageSubmitted", "Stage Info": {"Stage ID": first}},
        task_end(10 * job, first, 0, kind="ShuffleMapTask", locality="PROCESS_LOCAL"),
        task_end(10 * job + 1, second, 0),
        task_end(10 * job + 2, second, 1, reason="ExceptionFailure"),
        task_end(10 * job + 3, second, 1, attempt=1, locality="ANY"),
        {
            "Event": "SparkListenerJobEnd",
            "Job ID": job,
            "Completion Time": 1_700_000_002_500 + job,
            "Job Result": {"Result": "JobSucceeded"},
        },
    ]


def lines(*events: dict[str, Any]) -> list[str]:
    return [json.dumps(event) for event in events]


def test_a_job_is_found_by_its_group_with_its_own_tasks() -> None:
    log = EventLog()
    log.feed(lines({"Event": "SparkListenerLogStart", "Spark Version": "4.0.0"}))
    log.feed(lines(*job_events(0, "warm-up", (0, 1)), *job_events(1, "cell", (2, 3))))
    job = log.job("cell")
    assert job is not None
    assert job.succeeded
    assert job.ended_s is not None
    assert job.ended_s - job.submitted_s == pytest.approx(2.5)
    tasks = log.tasks(job)
    assert [task.kind for task in tasks] == ["map", "result", "result", "result"]
    assert [(task.partition, task.attempt, task.ok) for task in tasks[1:]] == [
        *((0, 0, True), (1, 0, False), (1, 1, True))
    ]
    assert {task.host for task in tasks} == {"10.9.0.21"}
    assert tasks[3].finished_s - tasks[3].launched_s == pytest.approx(0.5)
    assert log.job("another") is None


def test_a_job_under_way_is_not_over() -> None:
    log = EventLog()
    log.feed(lines(*job_events(1, "cell", (2, 3))[:-1]))
    assert log.job("cell") is None


def test_a_log_is_read_while_it_grows_and_half_a_line_waits(tmp_path: Path) -> None:
    path = tmp_path / "app-1.inprogress"
    text = "\n".join(lines(*job_events(1, "cell", (2, 3)))) + "\n"
    path.write_text(text[:-30])
    tail = Tail(path)
    with pytest.raises(ServiceError, match="the end of job 'cell'"):
        tail.ended("cell", 0.0)
    with path.open("a") as file:
        file.write(text[-30:])
    job, tasks = tail.ended("cell", 0.0)
    assert (job.group, len(tasks)) == ("cell", 4)


def test_a_log_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match=r"app-2\.inprogress"):
        Tail(tmp_path / "app-2.inprogress").ended("cell", 0.0)
