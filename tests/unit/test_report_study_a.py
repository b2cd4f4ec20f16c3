"""Study A: its figures by number, what limits each mode, and the published shape."""

import csv
from pathlib import Path
from typing import Any

import pytest
from tests.runs import STUDY_A, file, make

from streambed import report
from streambed.report import shape
from streambed.report.data import ReportData
from streambed.report.findings import Square, findings
from streambed.report.headline import headline
from streambed.report.limits import Limit, judge
from streambed.results.run import Run

FIGURES = (
    *("fig-03-image-rate-1s", "fig-04-image-rate-2s", "fig-05-image-rate-5s", "fig-06-image-rate"),
    *("fig-07-micro-batch-time-1s", "fig-08-micro-batch-time-2s", "fig-09-micro-batch-time-5s"),
    "fig-10-micro-batch-time",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("runs")
    return make(folder, file(folder, STUDY_A), repeats=3)


@pytest.fixture(scope="module")
def out(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out")
    report.build([run], folder)
    return folder


def table(path: Path) -> list[dict[str, str]]:
    with path.open() as lines:
        return list(csv.DictReader(lines))


def test_the_published_figures_are_there_by_number_and_no_other(out: Path) -> None:
    assert sorted(path.stem for path in out.glob("*.svg")) == sorted(FIGURES)
    assert sorted(path.stem for path in out.glob("*.csv")) == sorted(FIGURES)
    page = (out / "index.html").read_text()
    assert [page.index(f'id="{name}"') for name in FIGURES] == sorted(
        page.index(f'id="{name}"') for name in FIGURES
    )


def test_a_figure_of_one_trigger_has_both_modes_and_what_was_published(out: Path) -> None:
    rows = {
        (row["bandwidth_mbit_per_s"], row["mode"]): row
        for row in table(out / "fig-03-image-rate-1s.csv")
    }
    assert len(rows) == 12
    at = rows["60.0", "as_published"]
    assert float(at["published"]) == 2300
    assert float(at["interval_low"]) < float(at["image_rate_per_s_median"])
    assert float(at["link_limit_images_per_s"]) > 9000
    assert rows["10.0", "as_published"]["published"] == ""


def test_the_compared_figures_hold_every_trigger_and_mode(out: Path) -> None:
    for name in ("fig-06-image-rate", "fig-10-micro-batch-time"):
        rows = table(out / f"{name}.csv")
        assert {(row["trigger_s"], row["mode"]) for row in rows} == {
            (f"{trigger}.0", mode)
            for trigger in (1, 2, 5)
            for mode in ("as_published", "engineered")
        }
    assert "published ≈" in (out / "fig-10-micro-batch-time.svg").read_text()


def test_a_trigger_that_was_not_published_is_in_the_comparison_only(tmp_path: Path) -> None:
    run = make(tmp_path, file(tmp_path, STUDY_A), options=("trigger=500 ms",))
    built = report.build([run], tmp_path / "out")
    assert {path.stem for path in built.files} == {"fig-06-image-rate", "fig-10-micro-batch-time"}


def test_another_matrix_has_the_general_figures(run: Run, tmp_path: Path) -> None:
    other = make(
        tmp_path, file(tmp_path, STUDY_A), options=("mode=engineered", "compression=none,zstd")
    )
    built = report.build([other], tmp_path / "out")
    names = {path.stem for path in built.files}
    assert names == {"image-rate", "micro-batch-time", "compression"}


def test_the_bottleneck_of_each_mode_is_stated_with_its_evidence(run: Run) -> None:
    published, engineered = findings(ReportData.of([run]))
    assert engineered.name == "engineered"
    assert engineered.statement == "The link limits (54 of 54 results)."
    assert published.statement == (
        "The link limits at 10 Mbit/s (9 of 9 results); "
        "processing in Spark limits from 20 Mbit/s to 100 Mbit/s (45 of 45 results)."
    )
    evidence = dict(published.evidence)
    assert "in 9 of 54 results" in evidence["link"]
    assert "3.0 times the image rate" in evidence["producer"] or "3.1" in evidence["producer"]
    assert published.columns == ("1 s", "2 s", "5 s")
    assert published.map[0] == ("10 Mbit/s", (Square("link", "link"),) * 3)


def test_a_stray_result_does_not_silence_the_statement(tmp_path: Path) -> None:
    """One of nine is contended: what the other eight show is said, and the map has both."""
    stray = make(tmp_path, file(tmp_path, STUDY_A), options=("mode=as_published",), repeats=3)
    rows = [{**row} for row in stray.rows()]
    for row in rows:
        if (row["bandwidth_mbit_per_s"], row["trigger_s"], row["repeat"]) == (20, 1, 1):
            row["flags"] = ["contended"]
    (found,) = findings(ReportData((stray,), tuple(rows)))
    assert "from 20 Mbit/s to 100 Mbit/s (44 of 45 results)" in found.statement
    assert found.map[1][1][0] == Square("processing 2, not shown 1", "mixed")
    assert ("flags", "contended 1, of 54 results") in found.evidence
    for row in rows:
        if row["bandwidth_mbit_per_s"] == 20 and row["trigger_s"] * row["repeat"] <= 3:
            row["flags"] = ["contended"]
    (found,) = findings(ReportData((stray,), tuple(rows)))
    assert "results differ in what limits at 20 Mbit/s (9 results)" in found.statement


def test_the_headline_tells_the_modes_apart(run: Run) -> None:
    said = headline(ReportData.of([run]))
    assert "engineered: 1,4" in said
    assert "as_published: 1,4" in said
    assert "processing in Spark limits from 20 Mbit/s" in said


def test_the_shape_is_read_the_same_way_from_published_values_and_ours(run: Run) -> None:
    found = {(s.trigger_s, s.name): s for s in shape.shapes(ReportData.of([run]))}
    literature = found[1.0, "published"]
    assert (literature.level_from_mbit_per_s, literature.level_images_per_s) == (20, 2300)
    ours = found[1.0, "as_published"]
    assert ours.level_from_mbit_per_s == 20
    assert ours.level_images_per_s == pytest.approx(2400 * 0.976)
    assert ours.most_overrun == 3
    assert ours.real_time_to_mbit_per_s == 10
    engineered = found[1.0, "engineered"]
    assert engineered.level_from_mbit_per_s is None
    assert engineered.real_time_to_mbit_per_s == 100
    assert "the published shape appears" in shape.verdict(found.values())


def test_a_shape_that_does_not_appear_is_said_with_its_figures() -> None:
    steady = shape.Shape(1.0, "as_published", None, None, 0.5, 100)
    said = shape.verdict([steady])
    assert "does not level off" in said
    assert "0.50 of the trigger" in said
    assert shape.verdict([]) == ""


@pytest.mark.parametrize(
    ("rates", "begin"),
    [
        ({10: 1500, 20: 2300, 60: 2400, 100: 2350}, 20),
        ({10: 1500, 20: 3000, 60: 9000, 100: 15000}, None),
        ({10: 1500, 80: 2300, 100: 2300}, None),  # too little of the link is left to tell
        ({}, None),
    ],
)
def test_where_a_rate_levels_off(rates: dict[float, float], begin: float | None) -> None:
    assert shape.levels_off(rates) == begin


ROW: dict[str, Any] = {
    "status": "ok",
    "flags": [],
    "trigger_s": 1.0,
    "compression": "none",
    "image_rate_per_s": 2400.0,
    "link_utilisation": 0.5,
    "micro_batch_mean_s": 0.5,
    "producer_unshaped_rate_per_s": 7200.0,
    "offered_rate_images_per_s": None,
}


@pytest.mark.parametrize(
    ("changes", "limit"),
    [
        ({"link_utilisation": 0.96}, Limit.LINK),
        ({"link_utilisation": 0.96, "flags": ["contended"]}, Limit.LINK),
        ({"link_utilisation": 4.5, "compression": "zstd"}, Limit.NOT_SHOWN),
        ({"compression": "zstd", "link_share_max": 0.99}, Limit.LINK),
        ({"micro_batch_mean_s": 3.0}, Limit.PROCESSING),
        ({"micro_batch_mean_s": 3.0, "flags": ["driver_bound"]}, Limit.PROCESSING),
        ({"micro_batch_mean_s": 3.0, "flags": ["contended"]}, Limit.NOT_SHOWN),
        ({"micro_batch_mean_s": 0.97}, Limit.NOT_SHOWN),
        ({"micro_batch_mean_s": None}, Limit.NOT_SHOWN),
        ({"flags": ["driver_bound"]}, Limit.PRODUCER),
        ({"flags": ["disturbed", "driver_bound"]}, Limit.NOT_SHOWN),
        ({"offered_rate_images_per_s": 2410.0}, Limit.OFFERED),
        ({"offered_rate_images_per_s": 4800.0, "micro_batch_mean_s": 2.0}, Limit.PROCESSING),
        ({}, Limit.NOT_SHOWN),
    ],
)
def test_the_first_rule_that_applies_decides(changes: dict[str, Any], limit: Limit) -> None:
    judged = judge({**ROW, **changes})
    assert judged.limit == limit
    assert judged.because
