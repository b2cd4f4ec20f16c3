"""The page and the figures of any experiment, from rows made for these tests."""

import csv
import re
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from tests.runs import COMPRESSION, believable, file, make

from streambed import report
from streambed.errors import StreambedError
from streambed.experiment import Execution, load
from streambed.report.data import ReportData
from streambed.report.headline import headline
from streambed.report.latency import latency_parts
from streambed.results import run as runs
from streambed.results import writer
from streambed.results.measures import StreamingMeasures


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
    assert median == pytest.approx(float(first["link_limit_images_per_s"]) * 0.976)
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


def test_compression_is_drawn_as_a_gain_over_the_uncompressed_limit(tmp_path: Path) -> None:
    run = make(tmp_path, file(tmp_path, COMPRESSION), repeats=3)
    report.build([run], tmp_path / "out")
    with (tmp_path / "out" / "compression.csv").open() as table:
        rows = {(r["bandwidth_mbit_per_s"], r["compression"]): r for r in csv.DictReader(table)}
    assert len(rows) == 6
    gain = float(rows["10.0", "zstd"]["gain_over_uncompressed_limit_median"])
    assert gain == pytest.approx(4.6 * 0.976)
    assert float(rows["10.0", "none"]["gain_over_uncompressed_limit_median"]) < 1
    said = headline(ReportData.of([run]))
    assert "Compressed, up to 4.5 times the uncompressed limit came out (zstd)." in said
    assert "The link sets the pace" in said


def test_latency_is_drawn_where_there_is_one(tmp_path: Path) -> None:
    def open_mode(execution: Execution) -> StreamingMeasures:
        seconds = 0.2 if execution.cell.streaming.trigger_s == 1 else 0.9
        return replace(
            believable(execution),
            latency_p50_s=seconds,
            latency_p95_s=2 * seconds,
            latency_p99_s=3 * seconds,
            latency_max_s=5 * seconds,
        )

    options = ("offered_rate=700 images/s", "bandwidth=10 Mbit/s", "trigger=1 s,2 s")
    run = make(tmp_path, options=options, repeats=3, measured=open_mode)
    built = report.build([run], tmp_path / "out")
    assert "up to 0.90 s to their result, 99 % of them up to 2.70 s" in built.headline
    with (tmp_path / "out" / "latency.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert [(r["cell"], r["percentile"], float(r["latency_s"])) for r in rows[:2]] == [
        ("trigger 1 s", "p50", 0.2),
        ("trigger 1 s", "p95", 0.4),
    ]
    assert len(rows) == 8
    closed = report.build([make(tmp_path)], tmp_path / "closed")
    assert not any(path.name.startswith("latency") for path in closed.files)


def test_the_parts_of_a_latency_are_drawn_one_after_the_other(tmp_path: Path) -> None:
    run = make(tmp_path)
    parts = {
        "latency_link_p50_s": 0.1,
        "latency_batch_wait_p50_s": 0.5,
        "latency_compute_p50_s": 0.2,
        "latency_sink_p50_s": 0.05,
    }
    drawn = latency_parts(ReportData((run,), tuple({**row, **parts} for row in run.rows())))
    assert drawn is not None
    assert [(entry["part"], entry["latency_s"]) for entry in drawn.table[:4]] == [
        ("link and broker", 0.1),
        ("waiting for the batch", 0.5),
        ("compute", 0.2),
        ("sink", 0.05),
    ]
    assert latency_parts(ReportData.of([run])) is None
