"""A cluster of six nodes: up in time, converged, classifying on as many workers as asked for."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from tests.system.tools import Cluster, changes, line_with, rows, start, streambed, until

UP_S = 90
"""60 on a quiet machine of two cores; here another bed is up beside it."""

CELL = ("--set", "bandwidth=10 Mbit/s", "--set", "trigger=2 s")


def test_six_nodes_are_up_and_verified_in_time(cluster: Cluster) -> None:
    status = json.loads(streambed("status", "-i", cluster.path, "--json").stdout)
    assert status["stage"] == "verified"
    assert [node["state"] for node in status["nodes"]] == ["running"] * 6
    assert cluster.up_s < UP_S


def test_the_playbook_again_changes_nothing_in_time(cluster: Cluster) -> None:
    began = time.monotonic()
    assert changes(cluster.playbook()) == []
    assert time.monotonic() - began < UP_S


@pytest.fixture(scope="module")
def scaled(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The rows of one run with one worker, and with three."""
    results = tmp_path_factory.mktemp("scaled")
    options = ("-i", cluster.path, "--results", str(results), *CELL, "--set", "workers=1,3")
    streambed("run", cluster.small, *options)
    return sorted(rows(results, "small"), key=lambda row: int(row["workers"]))


def test_each_cell_ran_on_as_many_workers_as_asked_for(scaled: list[dict[str, Any]]) -> None:
    assert [row["status"] for row in scaled] == ["ok", "ok"], [row["reason"] for row in scaled]
    assert [(row["workers"], row["partitions"]) for row in scaled] == [(1, 2), (3, 6)]
    for row in scaled:
        found = row["gates"]["workers_act"]["measured"]
        addresses = re.findall(r"[0-9.]{7,}", found)
        # Each worker in use has an executor, and gave results.
        assert len(set(addresses)) == row["workers"]
        assert len(addresses) == 2 * row["workers"]
        assert (row["lost"], row["duplicates"], row["mismatches"]) == (0, 0, 0)


def test_no_node_used_more_than_its_quota(scaled: list[dict[str, Any]]) -> None:
    for row in scaled:
        assert row["gates"]["quotas_in_force"]["measured"] == "6 of 6 nodes"
        assert row["gates"]["cpu_within_quota"]["measured"] <= 1.02
        for part in ("client", "broker", "master", "workers"):
            assert 0 < row[f"{part}_cpu_share"] <= 1.05


def test_every_worker_is_back_after_a_run(cluster: Cluster, scaled: list[dict[str, Any]]) -> None:
    for node in cluster.inventory.group("spark_workers"):
        assert cluster.root(node.name, "systemctl is-active spark-worker").strip() == "active"
    state = json.loads(cluster.root("client", "streambed-link show --json"))
    assert (state["up"], state["down"]) == (None, None)


def test_a_worker_that_dies_in_a_cell_is_told(cluster: Cluster, tmp_path: Path) -> None:
    """Spark repeats its tasks on the others: the cell ends, flagged, or fails with the reason."""
    command = ("run", cluster.small, "-i", cluster.path, "--results", str(tmp_path), *CELL)
    with start(*command, "--set", "workers=2") as running:
        line_with(running, "classifying")
        cluster.root("worker2", "systemctl kill --signal=KILL spark-worker")
        assert running.stderr is not None
        said = running.stderr.read()
        assert "Traceback" not in said, said
        running.wait(300)
    (row, *_) = rows(tmp_path, "small", "--all")
    assert "disturbed" in row["flags"] or row["status"] == "failed"
    assert row["reason"] or "worker2 spark-worker" in row["gates"]["nothing_died"]["measured"]
    active = "systemctl is-active spark-worker"
    until(lambda: cluster.root("worker2", active, check=False) == "active\n" or None, "worker2")
    streambed("verify", "-i", cluster.path)
