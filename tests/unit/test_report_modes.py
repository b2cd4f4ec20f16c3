"""Modes with a factor swapped: how far they are apart, and what each factor is worth."""

import csv
from pathlib import Path

import pytest
from tests.runs import make

from streambed import report
from streambed.experiment import Execution
from streambed.report import modes
from streambed.report.data import ReportData
from streambed.report.headline import headline
from streambed.results.measures import StreamingMeasures
from streambed.results.run import Run

RATES = {
    ("engineered", None): 20000.0,
    ("engineered", "producer"): 10000.0,
    ("as_published", None): 4000.0,
    ("as_published", "producer"): 9000.0,
}


def measured(execution: Execution) -> StreamingMeasures:
    config = execution.cell.streaming
    own = RATES[config.mode, None]
    rate = RATES.get((config.mode, config.swap), own)
    return StreamingMeasures(image_rate_per_s=rate, micro_batch_mean_s=0.5)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make(tmp_path_factory.mktemp("runs"), "modes", measured=measured)


def test_a_factor_is_drawn_as_a_multiple_of_the_mode_alone(run: Run, tmp_path: Path) -> None:
    built = report.build([run], tmp_path)
    with (tmp_path / "modes-causes.csv").open() as lines:
        found = {
            (row["mode"], row["swap"]): float(row[f"{modes.OF_OWN}_median"])
            for row in csv.DictReader(lines)
        }
    assert found["engineered", "producer"] == 0.5
    assert found["as_published", "producer"] == 2.25
    assert found["as_published", "calls"] == 1.0
    assert len(found) == 14
    assert (tmp_path / "modes-image-rate.png").exists()
    assert not (tmp_path / "image-rate.png").exists()
    assert "nothing" in (tmp_path / "modes-image-rate.svg").read_text()
    assert built.page.exists()


def test_the_headline_begins_with_the_ratio_of_the_modes(run: Run) -> None:
    assert headline(ReportData.of([run])).startswith(
        "engineered classifies 20,000 images per second, as_published 4,000: 5.0 times as many."
    )
