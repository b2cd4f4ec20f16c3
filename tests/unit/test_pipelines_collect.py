"""What the collector keeps of result records, image by image."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from streambed.pipelines import collect, records
from streambed.pipelines.collect import Collection, CollectSpec
from streambed.pipelines.way import ARROW
from streambed.results import first_results


def message(first: int, count: int, at_ms: int, offset: int) -> Any:
    """A result record of some images in a row, as Kafka's client gives it."""
    record = records.Record(
        ids=np.arange(first, first + count, dtype=np.uint64),
        intended_ms=np.full(count, 1_000, np.int64),
        labels=np.arange(count, dtype=np.int32),
        partition=1,
        first_offset=first,
        last_offset=first + count - 1,
        batch_id=4,
        received_at=1.5,
        compute_s=0.25,
        worker=77,
        attempt=0,
        model=0xAB,
        node=records.node_tag("10.83.1.12"),
    )
    return SimpleNamespace(
        value=lambda: records.encode(record),
        timestamp=lambda: (1, at_ms),
        partition=lambda: 0,
        offset=lambda: offset,
    )


def collected(tmp_path: Path, *messages: Any) -> Collection:
    spec = CollectSpec("b:9092", "results", 10, raw_path=str(tmp_path / "raw" / "a.npz"))
    collection = Collection(spec)
    for each in messages:
        collection.add(each)
    return collection


def test_what_is_kept_is_read_back_image_by_image(tmp_path: Path) -> None:
    found = collected(tmp_path, message(0, 4, 2_000, 0), message(4, 6, 3_000, 1))
    path = tmp_path / "raw" / "a.npz"
    found.samples.save(path)
    results = first_results.load(path, 10)
    assert results.image_id.tolist() == list(range(10))
    assert results.append_at_s.tolist() == [2.0] * 4 + [3.0] * 6
    assert results.intended_at_s.tolist() == [1.0] * 10
    assert first_results.calls(path) == [(4, 1, 4), (4, 1, 6)]
    with np.load(path) as arrays:
        assert set(arrays) == {
            *(f"record_{name}" for name in collect.RECORD_COLUMNS),
            *(f"image_{name}" for name in (*collect.IMAGE_COLUMNS, "record")),
        }
        assert arrays["image_label"].tolist() == [*range(4), *range(6)]
        assert arrays["record_worker"].tolist() == [77, 77]
    assert (found.samples.models, found.samples.conversions) == ({0xAB}, {ARROW})
    # Files of images have no name, and are gone with the program.
    assert [each.name for each in path.parent.iterdir()] == ["a.npz"]


def test_without_a_result_arrays_are_empty(tmp_path: Path) -> None:
    arrays = collected(tmp_path).samples.raw_arrays()
    assert {name: values.size for name, values in arrays.items() if values.size} == {}
