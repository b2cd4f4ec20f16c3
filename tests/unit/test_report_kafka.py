"""Reports of study B, from simulated runs: the published figures, the answers, many cameras."""

import csv
from pathlib import Path
from typing import Any

import pytest
from tests.runs import file

from streambed import report
from streambed.experiment import Execution, Overrides, load
from streambed.experiment.kafka import CONSUME, WHILE, KafkaConfiguration
from streambed.report import compare
from streambed.results import run as runs
from streambed.results import writer
from streambed.results.measures import CamerasMeasures, KafkaMeasures, Measures
from streambed.results.row import Row
from streambed.results.run import Run

ONE_CONSUMER_PER_S = 6000.0


def kafka(config: KafkaConfiguration, repeat: int) -> KafkaMeasures:
    """What a cell might give: kafka-python with larger requests from more partitions."""
    large = config.batch_bytes is not None and config.linger_s is not None
    request = 320.0 if large else 20.0 * config.partitions
    send_us = {"confluent-kafka": 8.0, "kafka-python": 100.0 + 1000.0 / request}.get(
        config.client, 20.0
    )
    send_us /= 3.0 if config.compression != "none" else 1.0
    send_us /= 1.25 if config.plaintext == "on" else 1.0
    rate = 1e6 / send_us * (0.99 + 0.002 * repeat) * config.brokers / config.replication
    reading = ONE_CONSUMER_PER_S * min(config.consumers, config.partitions) * 0.97
    killed = config.kill_broker is not None
    given: dict[str, Any] = {
        "lost": 0,
        "duplicates": 0,
        "bottleneck": "CPU of client, 97 % of 0.8 cores (producer 70 %, broker 27 %)",
        "cpu_share_max": 0.97,
    }
    if config.produces:
        given |= {
            "produce_rate_per_s": rate,
            "records_per_request": request,
            "producer_cpu_s_per_image": send_us / 1e6,
            "own_producer_cpu_s_per_image": 0.8e-6,
            "producer_profile": f"record batches 60.0 us; sockets {1000.0 / request:.1f} us",
            "stall_max_s": 9.1 if killed else 0.3,
            "recovery_s": 21.0 if killed else None,
            "tool_rate_per_s": rate if config.client == "java" else None,
        }
        if config.bandwidth_mbit_per_s is not None:
            given["link_utilisation"] = 0.96 if config.partitions == 16 else 0.9
    if config.consumes:
        given["consume_rate_per_s"] = rate if config.scenario == WHILE else reading
    return KafkaMeasures(**given)


def cameras(count: int) -> CamerasMeasures:
    return CamerasMeasures(
        image_rate_per_s=5.0 * count,
        lost=0,
        duplicates=0,
        reordered=0,
        camera_fairness=1.0 if count < 200 else 0.98,
        latency_p99_s=0.02,
        latency_worst_p99_s=0.0002 * count,
    )


def make(root: Path, name: str | Path, *, repeats: int = 1, **more: Any) -> Run:
    with writer.create(load(name, Overrides(repeats=repeats, **more)), root) as store:
        store.append_flat([_row(store, execution) for execution in store.executions])
        store.finish()
        return runs.open_run(store.directory)


def _row(store: writer.RunWriter, execution: Execution) -> dict[str, Any]:
    cell, attempt = execution.cell, store.begin(execution)
    measures: Measures
    if cell.pipeline == "kafka":
        measures = kafka(cell.kafka, execution.repeat)
    else:
        measures = cameras(cell.cameras.cameras)
    return Row(
        cell=cell,
        repeat=execution.repeat,
        attempt=attempt.number,
        status="ok",
        started_at=attempt.started_at,
        ended_at=attempt.started_at + 30,
        measures=measures,
    ).flat()


def table(folder: Path, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / f"{name}.csv").read_text().splitlines()))


def test_an_evening_draws_every_published_figure_and_why(tmp_path: Path) -> None:
    built = report.build([make(tmp_path, "kafka", subset="evening")])
    folder = built.page.parent
    assert {path.stem for path in built.files} == {
        "fig-04-produce-while-consuming",
        "fig-05-consume-while-producing",
        "fig-06-produce-only",
        "fig-07-consume-loaded",
        "why-requests",
        "why-cpu",
        "why-profile",
    }
    alone = table(folder, "fig-06-produce-only")
    assert [row["partitions"] for row in alone] == ["1", "2", "4", "8", "16"]
    loaded = table(folder, "fig-07-consume-loaded")
    two = {row["partitions"]: row for row in loaded if row["consumers"] == "2"}
    assert float(two["4"]["consume_rate_per_s_median"]) == pytest.approx(11_640)
    assert "4 x one" in (folder / "fig-07-consume-loaded.svg").read_text()
    asked = table(folder, "why-requests")
    assert float(asked[-1]["records_per_request_median"]) == 320
    page = built.page.read_text()
    assert "With 16 partitions kafka-python produces 1.45 times what it does with 1." in page
    assert (
        "Why kafka-python depends on partitions: from 1 to 16 of them an image costs it 150 → 103 "
        "us of CPU (sockets 50.0 → 3.1); a request holds 20 → 320 images."
    ) in page
    parts = [row for row in table(folder, "why-profile") if row["activity"] == "sockets"]
    assert [(row["cell"], row["cpu_us_per_image"]) for row in (parts[0], parts[-1])] == [
        ("1 partition", "50.0"),
        ("16 partitions", "3.1"),
    ]
    assert "While both run, consumers get 1.00 to 1.00 of what is produced" in page
    assert "2 consumers get, of what one gets: 2.00 with 2 partitions" in page
    assert "0.8 to 0.8 us of CPU per image" in page


def test_repeats_give_intervals(tmp_path: Path) -> None:
    run = make(tmp_path, "kafka", subset="ends", repeats=3, set=("partitions=4,8",))
    built = report.build([run])
    rows = table(built.page.parent, "fig-07-consume-loaded")
    assert all(row["repeats"] == "3" and row["interval_low"] for row in rows)


def test_what_is_beyond_the_published_factors_has_bars(tmp_path: Path) -> None:
    built = report.build([make(tmp_path, "kafka-clients", subset="evening")])
    names = {path.stem for path in built.files}
    why = {"why-requests", "why-cpu", "why-profile"}
    assert {"settings-produced", "settings-consumed"} | why == names
    bars = {row["cell"] for row in table(built.page.parent, "settings-produced")}
    assert "confluent-kafka, 16 partitions" in bars
    assert "kafka-python, 1 partition, idempotence off" in bars
    assert "confluent-kafka, 4 partitions, compression zstd" in bars
    page = built.page.read_text()
    assert "With 16 partitions confluent-kafka produces 1.00 times what it does with 1." in page
    assert "3 brokers, replication 1 (produce_only, confluent-kafka, 16 partitions)" in page
    assert "3 brokers, replication 1 (consume_loaded, confluent-kafka, 4 partitions)" in page
    assert "3 brokers, replication 3, acks all, idempotence on (produce_only, conf" in page
    assert "the tool by our arithmetic (produce_only, java, 16 partitions)" in page
    assert "with TLS and passwords (produce_only, kafka-python, 4 partitions)" in page
    assert "0.80 times the rate in plaintext" in page


def test_like_is_compared_with_like_beside_kafkas_tool(tmp_path: Path) -> None:
    """A library that is three times as fast with a codec is not so beside a tool without one."""
    page = report.build([make(tmp_path, "kafka-clients", subset="evening")]).page.read_text()
    for count in ("1 partition", "16 partitions"):
        assert f"beside Kafka&#39;s tool (produce_only, confluent-kafka, {count})" in page
    assert "2.50 times its rate; 8.0 us of CPU per image, the tool 20.0" in page
    assert "7.50 times" not in page
    assert "Kafka&#39;s tool (produce_only, confluent-kafka, 4 partitions" not in page


def test_causes_of_a_dependence_on_partitions_are_told_by_their_share(tmp_path: Path) -> None:
    page = report.build([make(tmp_path, "kafka-clients", subset="evening")]).page.read_text()
    assert (
        "kafka-python with 1 partition, idempotence off produces 0.69 of what it does with 16 by "
        "its own settings, 0 % of the change."
    ) in page
    assert "1 partition, batch 256 KiB, linger 0.05 s produces 1.00 of what" in page
    assert "settings, 100 % of the change." in page
    assert "Why confluent-kafka depends" not in page


def test_a_shaped_link_has_its_own_ends_and_says_what_was_full(tmp_path: Path) -> None:
    page = report.build([make(tmp_path, "kafka-clients", subset="gigabit")]).page.read_text()
    assert "With 16 partitions confluent-kafka produces 1.00 times what it does with 1." in page
    assert "link of 1 Gbit/s (produce_only, confluent-kafka, 16 partitions)" in page
    assert "0.960 of the goodput measured before<" in page
    assert "0.900 of the goodput measured before, less than 0.95: CPU of client" in page


def test_a_fault_that_was_survived_is_told(tmp_path: Path) -> None:
    built = report.build([make(tmp_path, "durability")])
    assert "A broker was killed in mid-run 3 times (number 1, 2, 3): of 225,000" in built.headline
    assert "up to 9.1 s" in built.headline


def test_many_cameras_are_drawn_and_told(tmp_path: Path) -> None:
    built = report.build([make(tmp_path, "cameras", subset="evening")])
    folder = built.page.parent
    assert {path.stem for path in built.files} == {"camera-latency", "camera-fairness"}
    rows = table(folder, "camera-latency")
    assert {row["camera_clients"] for row in rows} == {"own", "shared"}
    assert "With 200 cameras of 5 frames/s (a client each) the worst camera" in built.headline


def test_two_runs_are_compared_by_what_they_produced(tmp_path: Path) -> None:
    first = make(tmp_path / "a", "kafka", subset="evening")
    second = make(tmp_path / "b", "kafka", subset="evening")
    found = compare.compare(first, second)
    assert found.rate == "produce_rate_per_s"
    assert "The produce rates are the same" in found.headline()


def test_consumed_alone_is_compared_too(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    both = [make(tmp_path / name, "kafka", subset="ends") for name in ("a", "b")]
    assert compare.compare(*both).rate == "consume_rate_per_s"


def test_references_may_be_drawn_beside(tmp_path: Path) -> None:
    text = """\
name: kafka
study: B
bed: consumers
pipeline: kafka
factors:
  partitions: [1, 4]
  scenario: [consume_loaded]
fixed: {broker_on: client, image_count: 1000, client: kafka-python}
reference:
  - {measure: consume_rate_per_s, at: {partitions: 4}, value: 5000, source: a paper}
"""
    built = report.build([make(tmp_path, file(tmp_path, text))])
    rows = table(built.page.parent, "fig-07-consume-loaded")
    assert [row["published"] for row in rows] == ["", "5000.0"]
    assert CONSUME in built.page.read_text()
