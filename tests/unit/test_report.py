"""Reports and comparisons, from rows made for these tests."""

import csv
import json
import re
import struct
from pathlib import Path

import pytest

from streambed import report
from streambed.errors import StreambedError
from streambed.experiment import Execution, Overrides, load
from streambed.experiment.length import link_images_per_s
from streambed.report import compare
from streambed.report.data import ReportData
from streambed.report.headline import headline
from streambed.report.statistics import estimate, ratio
from streambed.results import run as runs
from streambed.results import writer
from streambed.results.manifest import Facts
from streambed.results.measures import StreamingMeasures
from streambed.results.row import Flag, Row
from streambed.results.run import Run


def measured(execution: Execution, slower: float) -> StreamingMeasures:
    """A believable result; repeats differ a little."""
    config = execution.cell.streaming
    rate = link_images_per_s(config.bandwidth_mbit_per_s or 100, 784)
    share = (0.965 - 0.002 * execution.repeat) * slower
    return StreamingMeasures(
        image_rate_per_s=rate * share,
        goodput_up_mbit_per_s=(config.bandwidth_mbit_per_s or 100) * 0.9565,
        link_utilisation=share,
        micro_batch_mean_s=config.trigger_s * (0.4 + 0.003 * (config.bandwidth_mbit_per_s or 0)),
        lost=0,
        duplicates=0,
        accuracy=0.979,
    )


def make(
    root: Path,
    *,
    repeats: int = 1,
    slower: float = 1.0,
    failed: int = 0,
    options: tuple[str, ...] = (),
    kafka: str = "4.3.1",
) -> Run:
    experiment = load("small", Overrides(set=options, repeats=repeats))
    with writer.create(experiment, root) as store:
        store.record_facts(
            Facts(versions={"kafka": kafka}, project={"commit": "abc", "dirty": True})
        )
        for number, execution in enumerate(store.executions):
            attempt = store.begin(execution)
            bad = number < failed
            store.append(
                Row(
                    cell=execution.cell,
                    repeat=execution.repeat,
                    attempt=attempt.number,
                    status="failed" if bad else "ok",
                    started_at=attempt.started_at,
                    ended_at=attempt.started_at + 30,
                    measures=None if bad else measured(execution, slower),
                    reason="goodput <up>: 9.1 Mbit/s" if bad else None,
                    flags=frozenset({Flag.CONTENDED}) if number == failed else frozenset(),
                )
            )
        store.finish()
        return runs.open_run(store.directory)


def size_of_png(path: Path) -> tuple[int, int]:
    width, height = struct.unpack(">II", path.read_bytes()[16:24])
    return width, height


def test_a_report_is_a_page_and_three_files_per_figure(tmp_path: Path) -> None:
    built = report.build([make(tmp_path, repeats=3)], tmp_path / "out")
    names = sorted(path.name for path in built.files)
    assert names == sorted(
        f"{figure}.{ending}"
        for figure in ("image-rate", "micro-batch-time")
        for ending in ("png", "svg", "csv")
    )
    assert min(size_of_png(tmp_path / "out" / "image-rate.png")) > 900


def test_the_page_needs_no_network(tmp_path: Path) -> None:
    text = report.build([make(tmp_path)], tmp_path / "out").page.read_text()
    elements = re.sub(r"(<script[^>]*>).*?</script>", r"\1", text, flags=re.DOTALL)
    assert not re.findall(r"<[^>]+\ssrc=", elements)
    assert re.findall(r'<link[^>]+href="([^"]*)"', elements) == ["data:,"]
    assert not re.findall(r"@import|url\(\s*['\"]?http", elements)
    assert elements.count("<script>") == 2


def test_the_page_shows_rows_that_failed_and_why(tmp_path: Path) -> None:
    text = report.build([make(tmp_path, failed=1)], tmp_path / "out").page.read_text()
    assert text.count('<tr class="failed">') == 1
    assert "goodput &lt;up&gt;: 9.1 Mbit/s" in text
    assert "contended" in text
    assert "abc (with changes)" in text


def test_the_csv_holds_median_interval_and_limit(tmp_path: Path) -> None:
    built = report.build([make(tmp_path, repeats=3)], tmp_path / "out")
    assert built.page.exists()
    with (tmp_path / "out" / "image-rate.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    first = rows[0]
    assert first["bandwidth_mbit_per_s"] == "10.0"
    low, median, high = (
        float(first[name]) for name in ("interval_low", "image_rate_per_s_median", "interval_high")
    )
    assert low < median < high
    assert median == pytest.approx(float(first["link_limit_images_per_s"]) * 0.961)
    assert first["repeats"] == "3"


def test_few_repeats_have_no_interval(tmp_path: Path) -> None:
    report.build([make(tmp_path, repeats=2)], tmp_path / "out")
    with (tmp_path / "out" / "image-rate.csv").open() as file:
        assert {row["interval_low"] for row in csv.DictReader(file)} == {""}
    assert "no interval is drawn" in (tmp_path / "out" / "index.html").read_text()


def test_other_factors_become_panels(tmp_path: Path) -> None:
    run = make(tmp_path, options=("compression=none,zstd",))
    data = ReportData.of([run])
    assert (data.x, data.series, data.panels) == (
        "bandwidth_mbit_per_s",
        "trigger_s",
        ("compression",),
    )
    built = report.build([run], tmp_path / "out")
    assert "facet" in built.page.read_text()


def test_several_runs_are_told_apart(tmp_path: Path) -> None:
    both = [make(tmp_path), make(tmp_path, slower=0.5)]
    data = ReportData.of(both)
    assert data.panels == ("run",)
    assert len(data.points("image_rate_per_s")) == 8


def test_one_cell_can_be_reported(tmp_path: Path) -> None:
    run = make(tmp_path, options=("bandwidth=10 Mbit/s", "trigger=1 s"))
    assert report.build([run], tmp_path / "out").page.exists()


def test_a_factor_of_words_is_an_axis_of_words(tmp_path: Path) -> None:
    options = ("bandwidth=10 Mbit/s", "trigger=1 s", "compression=none,lz4")
    data = ReportData.of([make(tmp_path, options=options)])
    assert data.x == "compression"
    assert report.build(data.runs, tmp_path / "out").page.exists()


def test_the_headline_says_what_came_out(tmp_path: Path) -> None:
    data = ReportData.of([make(tmp_path)])
    good = headline(data)
    assert "The link sets the pace" in good
    assert "real time" in good
    assert f"All {sum(row['images'] for row in data.rows):,} images were accounted for" in good
    slow = headline(ReportData.of([make(tmp_path, slower=0.5)]))
    assert "in 4 of 4 results something other than the link limits" in slow
    partly = headline(ReportData.of([make(tmp_path, failed=1)]))
    assert "1 of 4 results are missing" in partly
    assert "No result" in headline(ReportData.of([make(tmp_path, failed=4)]))


def test_nothing_to_report_is_said(tmp_path: Path) -> None:
    with writer.create(load("small"), tmp_path) as store:
        run = runs.open_run(store.directory)
    with pytest.raises(StreambedError, match="nothing to report"):
        report.build([run])


def test_only_failed_rows_still_make_a_page(tmp_path: Path) -> None:
    built = report.build([make(tmp_path, failed=4)])
    assert built.files == ()
    assert "No result" in built.page.read_text()


def test_estimates_are_medians_with_a_seeded_interval() -> None:
    found = estimate([5.0, 1.0, 3.0, 2.0, 4.0])
    assert found is not None
    assert (found.median, found.n) == (3.0, 5)
    assert found.low is not None
    assert found.high is not None
    assert 1.0 <= found.low < 3.0 < found.high <= 5.0
    assert estimate([5.0, 1.0, 3.0, 2.0, 4.0]) == found
    assert estimate([]) is None
    same = estimate([2.0, 2.0, 2.0])
    assert same is not None
    assert (same.low, same.high) == (2.0, 2.0)


def test_a_ratio_has_an_interval_when_both_have_repeats() -> None:
    found = ratio([2.0, 2.1, 2.2], [1.0, 1.0, 1.1])
    assert found is not None
    assert found.median == pytest.approx(2.1)
    assert found.low is not None
    assert ratio([2.0], [1.0]).low is None  # type: ignore[union-attr]
    assert ratio([1.0], [0.0]) is None
    assert ratio([], [1.0]) is None


def test_a_comparison_gives_ratios_and_what_explains_them(tmp_path: Path) -> None:
    first = make(tmp_path, repeats=3)
    second = make(tmp_path, repeats=3, slower=0.5, kafka="4.4", options=("producer=kafka-python",))
    data = json.loads(compare.to_json(compare.compare(first, second)))
    assert data["manifest"]["facts.versions.kafka"] == {"first": "4.3.1", "second": "4.4"}
    assert data["manifest"]["cell.config.producer"]["second"] == "kafka-python"
    rates = [entry for entry in data["ratios"] if entry["measure"] == "image_rate_per_s"]
    assert len(rates) == 4
    assert all(entry["ratio"] == pytest.approx(0.5) for entry in rates)
    assert all(entry["interval_low"] < 0.5 < entry["interval_high"] for entry in rates)


def test_cells_of_one_run_only_are_named(tmp_path: Path) -> None:
    first = make(tmp_path)
    second = make(tmp_path, options=("bandwidth=10 Mbit/s,20 Mbit/s",))
    found = compare.compare(first, second)
    assert found.only[0] == ("100 Mbit/s, 1 s", "100 Mbit/s, 2 s")
    assert found.only[1] == ("20 Mbit/s, 1 s", "20 Mbit/s, 2 s")
