"""Latency: every image for the total, a sample for its parts, histograms that add up."""

from pathlib import Path

import numpy as np
import pytest

from streambed.errors import StreambedError
from streambed.gates import timeliness
from streambed.results import first_results, histogram, latency
from streambed.results.first_results import FirstResults
from streambed.results.window import Window

EPOCH = 1_760_000_000.0
WINDOW = Window(EPOCH + 10, EPOCH + 20, 10, drained=True)
OPEN = Window(EPOCH, EPOCH + 1000, 1000, drained=True)


def results(count: int, *, waited_s: float = 2.0) -> FirstResults:
    """Ten images/s; each is received after 1 s, computes 0.25 s, is appended after `waited_s`."""
    intended = EPOCH + np.arange(count) / 10
    return FirstResults(
        image_id=np.arange(count, dtype=np.int64),
        intended_at_s=intended,
        received_at_s=intended + 1.0,
        compute_s=np.full(count, 0.25),
        append_at_s=intended + waited_s,
    )


def acknowledged(ids: list[int], *, after_s: float = 0.1) -> latency.Acknowledged:
    chosen = np.array(ids, np.int64)
    return latency.Acknowledged(chosen, EPOCH + chosen / 10 + after_s)


def test_latency_counts_from_the_intended_time_of_the_images_in_the_window() -> None:
    found = latency.Percentiles.of(latency.totals(results(500), WINDOW))
    assert found is not None
    assert (found.p50_s, found.p99_s, found.max_s) == pytest.approx((2.0, 2.0, 2.0))
    assert len(latency.totals(results(500), WINDOW)) == 100
    assert latency.Percentiles.of(latency.totals(results(50), WINDOW)) is None


def test_the_parts_of_an_image_add_up_to_its_latency() -> None:
    parts = latency.parts(results(500), acknowledged([0, 61, 122, 183, 244]), WINDOW)
    assert len(parts) == 2  # of the sample, 122 and 183 lie in the window
    np.testing.assert_allclose(parts.link_s, 0.1, atol=1e-6)
    np.testing.assert_allclose(parts.batch_wait_s, 0.9, atol=1e-6)
    np.testing.assert_allclose(parts.sink_s, 0.75, atol=1e-6)
    np.testing.assert_allclose(sum(parts.by_name().values()), 2.0, atol=1e-6)


def test_an_image_without_a_result_has_no_parts() -> None:
    assert len(latency.parts(results(150), acknowledged([122, 183]), WINDOW)) == 1


def test_clocks_that_disagree_are_seen() -> None:
    ids = [61, 122, 183]
    assert timeliness.clocks_agree(latency.parts(results(500), acknowledged(ids), OPEN)).ok
    ahead = acknowledged(ids, after_s=1.5)  # acknowledged after Spark had the image
    assert not timeliness.clocks_agree(latency.parts(results(500), ahead, OPEN)).ok
    assert not timeliness.clocks_agree(latency.parts(results(500), acknowledged([]), OPEN)).ok


def test_histograms_of_repeats_add_up_to_that_of_all_images(tmp_path: Path) -> None:
    random = np.random.default_rng(7)
    parts = [random.gamma(2.0, 0.2, 5000), random.gamma(2.0, 0.6, 2000)]
    for name, times in zip(("a", "b"), parts, strict=True):
        (tmp_path / name).mkdir()
        histogram.save(histogram.of(times), tmp_path / name)
    (tmp_path / "closed").mkdir()  # a cell without latencies adds nothing
    merged = histogram.merged([tmp_path / "a", tmp_path / "closed", tmp_path / "b"])
    found = histogram.percentiles(merged)
    expected = latency.Percentiles.of(np.concatenate(parts))
    assert found is not None
    assert expected is not None
    assert merged.get_total_count() == 7000
    for name in ("p50_s", "p95_s", "p99_s", "max_s"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=0.01)


def test_no_latency_has_no_percentiles(tmp_path: Path) -> None:
    assert histogram.percentiles(histogram.merged([tmp_path])) is None


def test_a_damaged_histogram_is_told(tmp_path: Path) -> None:
    (tmp_path / histogram.NAME).write_text("HISTF" + "A" * 40)
    with pytest.raises(StreambedError, match="damaged"):
        histogram.merged([tmp_path])


def test_the_first_appended_result_of_an_image_counts(tmp_path: Path) -> None:
    path = tmp_path / "results.npz"
    np.savez(
        path,
        image_id=np.array([0, 1, 1 << 62, 1, 2], np.uint64),
        image_record=np.array([0, 0, 0, 1, 1], np.int32),
        image_intended_ms=np.array([1000, 1001, 5, 1001, 1002], np.int64),
        record_append_ms=np.array([9000, 4000], np.int64),
        record_received_at=np.array([8.0, 3.0]),
        record_compute_s=np.array([0.5, 0.25]),
        record_attempt=np.array([0, 1]),
    )
    found = first_results.load(path, images=10)
    np.testing.assert_array_equal(found.image_id, [0, 1, 2])
    np.testing.assert_allclose(found.append_at_s, [9.0, 4.0, 4.0])
    np.testing.assert_allclose(found.received_at_s, [8.0, 3.0, 3.0])
    assert found.appends().images.sum() == 3
    assert first_results.retried_records(path) == 1
