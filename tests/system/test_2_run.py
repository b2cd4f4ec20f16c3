"""The first experiment on a real bed: every cell counts, and a kill loses nothing."""

import itertools
import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.system.tools import Bed, line_with, rows, start, streambed

from streambed.results import histogram, resources
from streambed.results.run import newest, open_run
from streambed.results.search import RESOLUTION

QUICK = ("--set", "bandwidth=20 Mbit/s", "--set", "trigger=1 s")


@pytest.fixture(scope="module")
def small(bed: Bed, results: Path) -> list[dict[str, Any]]:
    """The rows of `experiments/small.yml`, at rates that leave a noisy machine some room.

    What is checked here is that figures are sound; how fast this machine is, the demo shows.
    """
    cells = ("--set", "bandwidth=20 Mbit/s,50 Mbit/s", "--set", "trigger=1 s")
    streambed("run", bed.small, "-i", bed.path, "--results", str(results), *cells)
    return rows(results, "small")


def test_every_cell_of_the_matrix_is_there_and_ok(small: list[dict[str, Any]]) -> None:
    levels = sorted((row["bandwidth_mbit_per_s"], row["trigger_s"]) for row in small)
    assert levels == [(20, 1), (50, 1)]
    assert [row["status"] for row in small] == ["ok"] * 2, [row["reason"] for row in small]


def test_every_image_came_out_once_with_the_right_label(small: list[dict[str, Any]]) -> None:
    for row in small:
        assert (row["lost"], row["duplicates"], row["mismatches"]) == (0, 0, 0)
        assert row["accuracy"] >= 0.97
        assert row["images"] > 8 * row["trigger_s"] * 0.9 * row["image_rate_per_s"]


def test_no_backlog_is_counted_as_rate(small: list[dict[str, Any]]) -> None:
    """The ceiling with an 8-byte key is 0.976; batches and goodput differ by some per cent."""
    for row in small:
        assert row["link_utilisation"] <= 0.976 * 1.05, row
        assert 0 < row["engine_s"] < 30
        assert row["payload_bytes"] == 784
        assert row["makespan_image_rate_per_s"] > 0
        assert row["cold_start_s"] > 0


def test_goodput_was_measured_both_ways_before_and_after(small: list[dict[str, Any]]) -> None:
    for row in small:
        expected = row["bandwidth_mbit_per_s"] * (1500 - 52) / (1500 + 14)
        for name in ("goodput_up_mbit_per_s", "goodput_down_mbit_per_s"):
            assert row[name] == pytest.approx(expected, rel=0.05)
        for direction in ("up", "down"):
            for when in ("before", "after"):
                assert row["gates"][f"goodput_{direction}_{when}"]["ok"]
        assert row["gates"]["management_unshaped"]["ok"]


def test_every_node_was_sampled_in_every_second_of_the_window(
    bed: Bed, small: list[dict[str, Any]], results: Path
) -> None:
    (directory,) = results.glob("small-*")
    run = open_run(directory)
    for row in small:
        nodes = resources.read(run.raw_directory(row) / resources.FILE)
        sending = json.loads((run.raw_directory(row) / "events.json").read_text())["produced"]
        start = sending["first_send_at"] + row["warm_up_s"]
        end = start + row["window_s"]
        assert list(nodes) == [node.name for node in bed.inventory.nodes]
        for node in bed.inventory.nodes:
            use = nodes[node.name]
            inside = use.at_s[(use.at_s > start - 1) & (use.at_s < end + 1)]
            assert len(inside) >= row["window_s"]
            assert max(np.diff(inside)) < 2  # a busy node may be late by some of a second
            assert (use.limits.cpus, use.limits.memory_bytes) == (node.cpus, node.memory_bytes)
        used = {name: values[-1] for name, values in nodes["cloud"].cpu_s.items()}
        assert min(used[g] for g in ("broker", "executor JVM", "Python workers")) > 0, used
        cost = nodes["client"].cpu_s["sampler"]
        assert cost[-1] < 0.02 * (nodes["client"].at_s[-1] - nodes["client"].at_s[0])


def test_the_busiest_resource_of_a_full_link_is_the_link(small: list[dict[str, Any]]) -> None:
    """In closed mode the producer fills it, whatever the classifier manages."""
    for row in small:
        assert 0.9 < row["link_share_max"] < 1.05
        assert "link of client, up" in row["bottleneck"]
        assert 0 < row["cpu_share_max"] < 1.1
        assert 0 < row["memory_share_max"] < 1


def test_nothing_is_shaped_and_nothing_runs_after_a_run(
    bed: Bed, small: list[dict[str, Any]]
) -> None:
    state = json.loads(bed.root("client", "streambed-link show --json"))
    assert (state["up"], state["down"]) == (None, None)
    for node in ("client", "cloud"):
        assert bed.root(node, "pgrep -fa '[s]treambed.pipelines' || true") == ""


def test_the_report_is_one_page_that_needs_nothing_else(
    small: list[dict[str, Any]], results: Path, tmp_path: Path
) -> None:
    said = streambed("report", "small", "--results", str(results), "--output", str(tmp_path))
    page = Path(said.stdout.strip())
    text = page.read_text()
    assert page.is_relative_to(tmp_path)
    assert 'src="http' not in text
    assert 'href="http' not in text
    for suffix in ("png", "svg", "csv"):
        assert len(list(tmp_path.rglob(f"*.{suffix}"))) >= 2
    for png in tmp_path.rglob("*.png"):
        assert png.read_bytes().startswith(b"\x89PNG")


def test_the_manifest_says_what_ran_and_holds_no_secret(
    bed: Bed, small: list[dict[str, Any]], results: Path
) -> None:
    (path,) = results.glob("small-*/manifest.json")
    facts = json.loads(path.read_text())["facts"]
    assert facts["nodes"][bed.name]["cloud"]["cpu_quota"] == pytest.approx(1.6)
    assert facts["nodes"][bed.name]["client"]["tcp_congestion_control"] == "cubic"
    exposures = facts["nodes"][bed.name]["cloud"]["exposures"]
    assert set(exposures) >= {"kafka", "spark-master", "spark-worker", "streambed-firewall"}
    assert max(exposures.values()) <= 3
    assert facts["versions"][bed.name]["cloud"]["packages"]["chainer"] == "7.8.1"
    assert (
        facts["effective"][f"spark on {bed.name}, lean settings"]["spark.sql.adaptive.enabled"]
        == "false"
    )
    key = Path(bed.inventory.node("client").key_file or "").read_text()
    assert key.splitlines()[1] not in path.read_text()


def test_the_published_design_cuts_a_batch_at_every_trigger(bed: Bed, tmp_path: Path) -> None:
    options = ("-i", bed.path, "--results", str(tmp_path), *QUICK, "--set", "mode=as_published")
    streambed("run", bed.small, *options)
    (row,) = rows(tmp_path, "small")
    assert row["status"] == "ok", row["reason"]
    assert (row["producer"], row["partitions"]) == ("kafka-python", 1)
    assert (row["batching"], row["conversion"]) == ("interval", "rows")
    assert row["gates"]["trigger_acts"]["ok"]
    assert row["queue_max_s"] >= 0
    events = newest("small", tmp_path).raw_directory(row) / "events.json"
    batches = json.loads(events.read_text())["batches"]
    assert all(batch["due_at"] % 1 == 0 for batch in batches)
    for batch, later in itertools.pairwise(batches):
        assert batch["end_offsets"] == later["start_offsets"]
        assert later["started_at"] >= batch["finished_at"]


def test_one_factor_of_a_mode_can_be_swapped(bed: Bed, tmp_path: Path) -> None:
    options = ("-i", bed.path, "--results", str(tmp_path), *QUICK, "--set", "swap=conversion")
    streambed("run", bed.small, *options)
    (row,) = rows(tmp_path, "small")
    assert row["status"] == "ok", row["reason"]
    assert (row["conversion"], row["batching"], row["partitions"]) == ("rows", "backlog", 2)
    assert row["queue_max_s"] is None


def test_the_pipeline_is_taken_apart_stage_by_stage(bed: Bed, tmp_path: Path) -> None:
    sizes = ("--repeats", "1", "--set", "micro_batch_images=10000")
    stages = ("--set", "stage=scan,full,chainer,loop")
    experiment = bed.patient("ablation")
    streambed("run", experiment, "-i", bed.path, "--results", str(tmp_path), *sizes, *stages)
    found = {row["stage"]: row for row in rows(tmp_path, "ablation")}
    assert set(found) == {"scan", "full", "chainer", "loop"}
    assert {row["status"] for row in found.values()} == {"ok"}, found
    assert all(row["image_rate_per_s"] > 0 for row in found.values())
    for stage in ("full", "loop"):
        assert (found[stage]["lost"], found[stage]["duplicates"]) == (0, 0)
        assert found[stage]["accuracy"] >= 0.97


def test_a_killed_run_resumes_where_it_was(bed: Bed, tmp_path: Path) -> None:
    command = ("run", bed.small, "-i", bed.path, "--results", str(tmp_path), *QUICK)
    with start(*command, "--repeats", "2") as killed:
        line_with(killed, "cell 2/2")
        line_with(killed, "classifying\n")
        os.killpg(killed.pid, signal.SIGKILL)
    before = rows(tmp_path, "small")
    assert [row["status"] for row in before] == ["ok", "interrupted"]
    streambed(*command, "--repeats", "2", "--resume")
    after = rows(tmp_path, "small")
    assert [row["status"] for row in after] == ["ok", "ok"]
    assert after[0] == before[0]
    # A noisy machine repeats cells; what was interrupted stays a row all the same.
    assert before[1] in rows(tmp_path, "small", "--all")
    other = (*command[:-1], "trigger=2 s", "--resume")
    said = streambed(*other, status=1).stderr
    assert "another configuration" in said
    assert "2 s" in said


def test_the_broker_may_run_on_the_client(bed: Bed, tmp_path: Path) -> None:
    """Every image crosses the link on its way to Spark instead, and comes out once."""
    command = ("run", bed.small, "-i", bed.path, "--results", str(tmp_path), *QUICK)
    streambed(*command, "--set", "broker_on=client")
    (row,) = rows(tmp_path, "small")
    assert (row["broker_on"], row["lost"], row["duplicates"]) == ("client", 0, 0)
    assert row["window_triggers"] >= 8
    assert row["gates"]["broker_acts"]["ok"]
    assert row["accuracy"] >= 0.97
    assert "inactive" in bed.root("client", "systemctl is-active kafka || true")


def test_at_a_constant_rate_each_image_has_a_latency_and_a_sample_has_its_parts(
    bed: Bed, tmp_path: Path
) -> None:
    command = ("run", bed.small, "-i", bed.path, "--results", str(tmp_path), *QUICK)
    streambed(*command, "--set", "offered_rate=500 images/s")
    (row,) = rows(tmp_path, "small")
    assert row["gates"]["offered_rate_acts"]["ok"]
    assert 0 < row["latency_p50_s"] <= row["latency_p95_s"] <= row["latency_p99_s"]
    assert row["latency_p99_s"] <= row["latency_max_s"]
    assert row["latency_sample_images"] > 50
    parts = [row[f"latency_{part}_p50_s"] for part in ("link", "batch_wait", "compute", "sink")]
    assert min(parts) >= -0.002
    assert sum(parts) == pytest.approx(row["latency_p50_s"], rel=0.25)
    run = newest("small", tmp_path)
    merged = histogram.merged([run.raw_directory(row)])
    found = histogram.percentiles(merged)
    assert found is not None
    assert found.p99_s == pytest.approx(row["latency_p99_s"], rel=0.01)


def test_the_sustainable_rate_is_searched_and_half_of_it_offered(bed: Bed, tmp_path: Path) -> None:
    command = ("run", bed.small, "-i", bed.path, "--results", str(tmp_path))
    cell = ("--set", "bandwidth=10 Mbit/s", "--set", "trigger=1 s")
    streambed(*command, *cell, "--set", "sustainable_share=50 %")
    (row,) = rows(tmp_path, "small")
    # 10 Mbit/s is nothing to the pipeline: it is the link that sets the limit. 1,509 images/s would
    # fill it; Kafka adds some 35 bytes to each, and more to each request: paced ones are small.
    least = 0.8 if "contended" in row["flags"] else 0.9
    assert least * 1509 < row["sustainable_rate_per_s"] < 1.02 * 1509
    assert row["send_rate_per_s"] == pytest.approx(row["sustainable_rate_per_s"] / 2, rel=0.02)
    evidence = json.loads(
        (newest("small", tmp_path).raw_directory(row) / "search.json").read_text()
    )
    assert len(evidence["probes"]) == row["search_steps"]
    ceiling = evidence["ceiling"]["rate_per_s"]
    reached = row["sustainable_rate_per_s"] * (1 + RESOLUTION) >= ceiling
    said = row["gates"]["search_bounded_by_pipeline"]["expected"]
    assert ("link is the limit" in said) == reached


def test_an_interrupted_run_is_a_row_and_leaves_the_bed_usable(bed: Bed, tmp_path: Path) -> None:
    command = ("run", bed.small, "-i", bed.path, "--results", str(tmp_path), *QUICK)
    with start(*command) as running:
        line_with(running, "classifying\n")
        # The bed is taken: a second run leaves nothing behind, not even a directory.
        other = tmp_path / "other"
        said = streambed(*command, "--results", str(other), status=1).stderr
        assert "is in use by `run`" in said
        assert not list(other.glob("*"))
        os.killpg(running.pid, signal.SIGINT)
        assert running.wait(60) == 130
    (row,) = rows(tmp_path, "small")
    assert row["status"] == "interrupted"
    state = json.loads(bed.root("client", "streambed-link show --json"))
    assert (state["up"], state["down"]) == (None, None)
