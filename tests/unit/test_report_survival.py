"""What encryption costs and what faults are felt like, from rows made for these tests."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from tests.runs import Measured, file, make

from streambed import report
from streambed.experiment import Execution
from streambed.report.data import ReportData
from streambed.report.headline import headline
from streambed.results.measures import StreamingMeasures

FAULTS = """\
name: faults
study: A
bed: duo
pipeline: streaming
factors:
  fault: [none, worker_kill, driver_kill]
fixed: {sustainable_share: 50 %, duration: 75 s, bandwidth: 100 Mbit/s}
"""

SECURITY = """\
name: security
study: A
bed: duo
pipeline: streaming
factors:
  plaintext: ["off", "on"]
fixed: {sustainable_share: 50 %, duration: 30 s}
"""


CALM = StreamingMeasures(
    image_rate_per_s=5000.0,
    images_sent=100_000,
    lost=0,
    duplicates=0,
    latency_p50_s=1.0,
    latency_p99_s=1.8,
)


def survived(execution: Execution) -> StreamingMeasures:
    """A driver takes 20 s to come back and does some images twice; a worker takes 6 s."""
    fault = execution.cell.streaming.fault
    if fault is None:
        return CALM
    driver = fault == "driver_kill"
    return StreamingMeasures(
        images_sent=100_000,
        lost=0,
        duplicates=512 if driver else 0,
        recovery_s=20.0 + execution.repeat if driver else 6.0,
    )


def paid(share: float) -> Measured:
    """Measures of a bed that keeps a share of its rate when encrypted."""

    def measured(execution: Execution) -> StreamingMeasures:
        encrypted = execution.cell.streaming.plaintext == "off"
        rate = (40_000 * share if encrypted else 40_000) + execution.repeat
        return replace(CALM, sustainable_rate_per_s=rate)

    return measured


def table(path: Path) -> list[dict[str, str]]:
    with path.open() as lines:
        return list(csv.DictReader(lines))


def test_faults_have_one_figure_of_how_long_they_were_felt(tmp_path: Path) -> None:
    run = make(tmp_path, file(tmp_path, FAULTS), repeats=3, measured=survived)
    report.build([run], tmp_path / "out")
    rows = {row["fault"]: row for row in table(tmp_path / "out" / "recovery.csv")}
    assert set(rows) == {"worker_kill", "driver_kill"}
    assert float(rows["driver_kill"]["recovery_s_median"]) == 22
    assert rows["driver_kill"]["duplicates_most"] == "512"
    assert not (tmp_path / "out" / "image-rate.svg").exists()
    said = headline(ReportData.of([run]))
    assert "2 faults injected: the longest was felt for 22.0 s (driver kill)." in said
    assert "None of them lost an image. Images came out twice in driver kill." in said


def test_what_faults_cost_is_told_of_cells_that_failed_by_it(tmp_path: Path) -> None:
    """The third repeat of the driver loses 12 images; no repeat of the worker recovers."""

    def measured(execution: Execution) -> StreamingMeasures:
        found = survived(execution)
        if execution.cell.streaming.fault == "worker_kill":
            return replace(found, recovery_s=None)
        return replace(found, lost=12) if lossy(execution) else found

    def lossy(execution: Execution) -> bool:
        return (execution.cell.streaming.fault, execution.repeat) == ("driver_kill", 3)

    def refused(execution: Execution) -> str | None:
        if execution.cell.streaming.fault == "worker_kill":
            return "recovered: measured not before the end, expected x"
        return "images_lost: measured 12, expected 0; then: more" if lossy(execution) else None

    folder = file(tmp_path, FAULTS)
    run = make(tmp_path, folder, repeats=3, measured=measured, refused=refused)
    report.build([run], tmp_path / "out")
    rows = {row["fault"]: row for row in table(tmp_path / "out" / "recovery.csv")}
    assert rows["worker_kill"]["recovery_s_median"] == ""
    assert (rows["driver_kill"]["lost_most"], rows["driver_kill"]["failed"]) == ("12", "1")
    said = headline(ReportData.of([run]))
    assert "2 of 6 cells survived: worker kill failed in 3 of 3 (recovered: measured not" in said
    assert "driver kill failed in 1 of 3 (images_lost: measured 12, expected 0)." in said
    assert "Images were lost in driver kill (12 in a cell)." in said


@pytest.mark.parametrize(
    ("share", "verdict"),
    [(0.95, "no more than the 10 %"), (0.80, "more than the 10 %")],
)
def test_the_price_of_encryption_is_a_share_of_the_rate(
    tmp_path: Path, share: float, verdict: str
) -> None:
    run = make(tmp_path, file(tmp_path, SECURITY), repeats=5, measured=paid(share))
    report.build([run], tmp_path / "out")
    assert {row["plaintext"] for row in table(tmp_path / "out" / "encryption.csv")} == {"off", "on"}
    said = headline(ReportData.of([run]))
    assert f"{share:.2f} of the rate in plaintext" in said
    assert f": {verdict}" in said
