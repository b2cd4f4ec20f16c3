"""A cluster of six nodes: up, converged, classifying a stream on the workers asked for."""

import json
import re
from typing import Any

import pytest
from tests.system.tools import Bed, changes, rows, streambed

CELL = ("--set", "bandwidth=10 Mbit/s", "--set", "trigger=2 s", "--set", "workers=2")
"""Workers with a third of a core take 0.8 to 1.5 s for a micro-batch until their JVMs are warm."""


def test_six_nodes_are_up_and_verified(cluster: Bed) -> None:
    status = json.loads(streambed("status", "-i", cluster.path, "--json").stdout)
    assert status["stage"] == "verified"
    assert [node["state"] for node in status["nodes"]] == ["running"] * 6


def test_the_playbook_again_changes_nothing(cluster: Bed) -> None:
    assert changes(cluster.playbook()) == []


@pytest.fixture(scope="module")
def row(cluster: Bed, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The row of a run on two of the three workers."""
    results = tmp_path_factory.mktemp("two")
    streambed("run", cluster.small, "-i", cluster.path, "--results", str(results), *CELL)
    (found,) = rows(results, "small")
    return found


def test_the_cell_ran_on_as_many_workers_as_asked_for(row: dict[str, Any]) -> None:
    assert row["status"] == "ok", row["reason"]
    assert (row["workers"], row["partitions"]) == (2, 4)
    addresses = re.findall(r"[0-9.]{7,}", row["gates"]["workers_act"]["measured"])
    # Each worker in use has an executor, and gave results.
    assert len(addresses) == 2 * len(set(addresses)) == 4
    assert (row["lost"], row["duplicates"], row["mismatches"]) == (0, 0, 0)


def test_no_node_used_more_than_its_quota(row: dict[str, Any]) -> None:
    assert row["gates"]["quotas_in_force"]["measured"] == "6 of 6 nodes"
    assert row["gates"]["cpu_within_quota"]["measured"] <= 1.02
    for part in ("client", "broker", "master", "workers"):
        assert 0 < row[f"{part}_cpu_share"] <= 1.05


def test_every_worker_is_back_after_a_run(cluster: Bed, row: dict[str, Any]) -> None:
    for node in cluster.inventory.group("spark_workers"):
        assert cluster.root(node.name, "systemctl is-active spark-worker").strip() == "active"
    state = json.loads(cluster.root("client", "streambed-link show --json"))
    assert (state["up"], state["down"]) == (None, None)
