"""More workers: the figures against their number, the ideal line, and what limits."""

import csv
from pathlib import Path

import pytest
from tests.runs import make

from streambed import report
from streambed.experiment import Execution
from streambed.report import scaling
from streambed.report.data import ReportData
from streambed.report.headline import headline
from streambed.results.measures import StreamingMeasures
from streambed.results.run import Run

FIGURES = {"workers-image-rate", "workers-cpu", "workers-micro-batch-time", "workers-latency"}


def measured(execution: Execution) -> StreamingMeasures:
    """Each further worker adds 90 % of the first; the fixed part of a batch takes half a second."""
    config = execution.cell.streaming
    workers = config.given_workers
    if config.offered_rate_images_per_s is not None:
        return StreamingMeasures(
            image_rate_per_s=config.offered_rate_images_per_s,
            micro_batch_mean_s=0.5 + 0.8 / workers,
            latency_p50_s=2 - workers / 10,
            latency_p95_s=3.0,
            latency_p99_s=3.5,
            workers_cpu_share=0.4 / workers,
        )
    return StreamingMeasures(
        image_rate_per_s=3700 * (1 + 0.9 * (workers - 1)),
        micro_batch_mean_s=20.0 / workers,
        client_cpu_share=0.5,
        broker_cpu_share=0.6,
        master_cpu_share=0.3,
        workers_cpu_share=0.99,
        bottleneck=f"CPU of worker{workers}, 99 % of 0.22 cores",
        lost=0,
        duplicates=0,
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make(tmp_path_factory.mktemp("runs"), "workers", measured=measured)


@pytest.fixture(scope="module")
def out(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out")
    report.build([run], folder)
    return folder


def table(path: Path) -> list[dict[str, str]]:
    with path.open() as lines:
        return list(csv.DictReader(lines))


def test_what_scales_has_figures_of_its_own(out: Path) -> None:
    found = {path.stem for path in out.glob("*.svg")}
    assert found >= FIGURES
    assert not found & {"image-rate", "micro-batch-time"}


def test_the_rate_stands_beside_the_ideal(out: Path) -> None:
    rows = table(out / "workers-image-rate.csv")
    assert [row["workers"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert float(rows[3]["ideal_images_per_s"]) == pytest.approx(4 * 3700)
    assert float(rows[3]["efficiency"]) == pytest.approx(3.7 / 4)
    assert "ideal" in (out / "workers-image-rate.svg").read_text()


def test_a_constant_rate_does_not_scale_and_is_left_out(out: Path) -> None:
    rates = {float(row["image_rate_per_s_median"]) for row in table(out / "workers-image-rate.csv")}
    assert 1500 not in rates
    assert {row["workers"] for row in table(out / "workers-latency.csv")} == set("12345")
    times = [
        float(r["micro_batch_mean_s_median"]) for r in table(out / "workers-micro-batch-time.csv")
    ]
    assert times == [pytest.approx(0.5 + 0.8 / workers) for workers in range(1, 6)]


def test_the_caption_says_what_limits_and_the_headline_what_was_gained(run: Run) -> None:
    data = ReportData.of([run])
    drawing = scaling.image_rate(data)
    assert drawing is not None
    assert (
        "1 worker: CPU of worker1, 99 % of 0.22 cores; 2 workers: CPU of worker2" in drawing.caption
    )
    assert "4 workers classify 3.70 times the images of 1 worker (efficiency 0.93" in headline(data)


def test_headroom_of_client_and_broker_is_shown_where_the_workers_are_the_limit(out: Path) -> None:
    rows = {
        (row["workers"], row["of"]): float(row["value"]) for row in table(out / "workers-cpu.csv")
    }
    assert (rows["4", "client"], rows["4", "broker"], rows["4", "workers"]) == (0.5, 0.6, 0.99)


def test_one_number_of_workers_changes_nothing(tmp_path: Path) -> None:
    data = ReportData.of([make(tmp_path)])
    assert scaling.image_rate(data) is None
    assert scaling.speed_up(data) == ""
