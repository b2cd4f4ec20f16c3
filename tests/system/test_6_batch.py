"""Study C in little, on the cluster: where chunks run, and a worker that dies meanwhile."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.system.tools import Bed, line_with, rows, start, until

from streambed.pipelines import assignment

CHUNKS, PARTITIONS, THREADS, SEED = 8, 4, 4, 3

Found = dict[tuple[float, str], dict[str, Any]]
"""(wait, assignment) → the row of a cell's first attempt."""


def part(wait: str, assigned: str) -> dict[str, Any]:
    """A slice of one cell."""
    levels = {
        "partitions": PARTITIONS,
        "workers": 3,
        "locality_wait": wait,
        "locality_timer": "legacy",
        "assignment": assigned,
        "chunk_work": "timed",
    }
    return {"factors": {name: [level] for name, level in levels.items()}}


@pytest.fixture(scope="module")
def experiment(cluster: Bed) -> str:
    """Three cells of the clone's own, brief: one application for the first two, another one."""
    path = Path(cluster.patient("batch"))
    content = yaml.safe_load(path.read_text())
    content["fixed"] |= {
        "chunks": CHUNKS,
        "chunk_time": "2 s",
        "threads": THREADS,
        "key_seed": SEED,
    }
    parts = [part("3 s", "hash"), part("0 s", "even"), part("0 s", "hash")]
    content["subsets"] = {"tests": {"parts": parts, "repeats": 1}}
    content["warm_up"] = {"prime": 100}
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return str(path)


@pytest.fixture(scope="module")
def found(cluster: Bed, experiment: str, tmp_path_factory: pytest.TempPathFactory) -> Found:
    """What the cells gave; a worker is killed in the one that spreads without a wait."""
    results = tmp_path_factory.mktemp("batch")
    command = ("run", experiment, "--subset", "tests", "-i", cluster.path)
    with start(*command, "--results", str(results)) as running:
        # The label of the cell is its levels, in the file's order.
        line_with(running, "0 s, legacy, hash, timed")
        line_with(running, f"{CHUNKS} chunks, {PARTITIONS} tasks")
        cluster.root("worker2", "systemctl kill --signal=KILL spark-worker")
        assert running.stderr is not None
        said = running.stderr.read()
        assert "Traceback" not in said, said
        running.wait(300)
    listed = rows(results, "batch", "--all")
    return {
        (row["locality_wait_s"], row["assignment"]): row for row in listed if row["attempt"] == 1
    }


def fullest(name: str) -> int:
    """Chunks in the fullest partition, worked out here."""
    sizes = assignment.relative_sizes(CHUNKS, assignment.EQUAL)
    placed = assignment.partition_of(name, sizes, PARTITIONS, SEED)
    return max(placed.count(partition) for partition in placed)


def test_no_more_partitions_than_threads_all_run_on_the_node_that_has_the_data(
    found: Found,
) -> None:
    row = found[3.0, "hash"]
    assert row["status"] == "ok", row["reason"]
    assert (row["nodes_used"], row["max_tasks_per_node"]) == (1, CHUNKS)
    assert row["fairness"] == pytest.approx(1 / 3)
    assert row["execution_s"] > 2 * row["max_chunks_per_partition"]


def test_an_even_split_gives_each_node_its_part(found: Found) -> None:
    row = found[0.0, "even"]
    assert row["status"] == "ok", row["reason"]
    assert row["nodes_used"] == 3
    # 4 partitions of 2 chunks on 3 nodes: 4, 2 and 2.
    assert (row["max_tasks_per_node"], row["fairness"]) == (4, pytest.approx(64 / 72))
    assert row["gates"]["cpu_within_quota"]["ok"]


def test_texts_as_keys_collide_and_the_even_split_does_not(found: Found) -> None:
    hashed, even = (
        found[cell]["max_chunks_per_partition"] for cell in ((3.0, "hash"), (0.0, "even"))
    )
    assert (hashed, even) == (fullest("hash"), fullest("even"))
    assert hashed > even == CHUNKS // PARTITIONS


def test_without_a_wait_chunks_spread_and_a_worker_that_dies_is_told(
    cluster: Bed, found: Found
) -> None:
    """Spark repeats its tasks on the others: the cell ends, flagged, or fails with the reason."""
    row = found[0.0, "hash"]
    if row["status"] == "ok":
        assert row["nodes_used"] >= 2
        assert "disturbed" in row["flags"]
        assert "worker2 spark-worker" in row["gates"]["nothing_died"]["measured"]
    else:
        assert row["status"] == "failed"
        assert row["reason"]
    active = "systemctl is-active spark-worker"
    until(lambda: cluster.root("worker2", active, check=False) == "active\n" or None, "worker2")
