"""From an Arrow batch to a result record, with a user's model built from its file."""

import itertools
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from streambed.pipelines import model_files, records, row_worker, worker
from streambed.pipelines.errors import SpecError
from streambed.pipelines.way import Way

SOURCE = '''
from pathlib import Path
import numpy as np

class FirstPixel:
    """Calls the value of the first pixel the label, plus what its weights file says."""

    def __init__(self, weights):
        self.extra = 0 if weights is None else int(Path(weights).read_text())

    def predict(self, images):
        assert images.shape[1:] == (2, 3) and images.dtype == np.uint8
        return images[:, 0, 0].astype(int) + self.extra

class CountsCalls:
    """Calls the number of its call the label."""

    def __init__(self, weights):
        self.calls = 0

    def predict(self, images):
        self.calls += 1
        return np.full(len(images), self.calls)

class Mute:
    def __init__(self, weights):
        pass
'''


def model_spec(tmp_path: Path, name: str = "FirstPixel", **more: Any) -> model_files.ModelSpec:
    path = tmp_path / "mine.py"
    path.write_text(SOURCE)
    return model_files.ModelSpec("file", path=str(path), class_name=name, **more)


def arrow_batch(count: int = 10, first: int = 1000) -> Any:
    ids = range(first, first + count)
    return pa.RecordBatch.from_pydict(
        {
            "key": pa.array([i.to_bytes(8, "big") for i in ids], pa.binary()),
            "value": pa.array([bytes([i % 200] + [0] * 5) for i in ids], pa.binary()),
            "size": pa.array([6] * count, pa.int32()),
            "partition": pa.array([3] * count, pa.int32()),
            "offset": pa.array(range(50, 50 + count), pa.int64()),
            "timestamp": pa.array([i * 1000 for i in ids], pa.timestamp("us", "UTC")),
            "headed": pa.array([False] * count),
        }
    )


class Broadcast:
    """What Spark hands a task: an object with `value`."""

    def __init__(self, value: Any) -> None:
        self.value = value


OUTLETS = worker.Outlets("results", "dead")


def messages(
    files: model_files.ModelFiles, batches: Iterator[Any], way: Way | None = None
) -> list[tuple[bytes, str]]:
    """Each message with its topic."""
    function = worker.Classify(files.key, files.image_shape, Broadcast(files), OUTLETS, way)
    return [
        (message["value"], message["topic"])
        for batch in function.run(batches, batch_id=4, attempt=1)
        for message in batch.to_pylist()
    ]


def results(
    files: model_files.ModelFiles, batches: Iterator[Any], way: Way | None = None
) -> list[records.Record]:
    found = messages(files, batches, way)
    assert {topic for _, topic in found} <= {"results"}
    return [records.decode(message) for message, _ in found]


def test_every_image_gets_its_id_its_time_and_its_label(tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    weights.write_text("7")
    files = model_files.read(model_spec(tmp_path, weights=str(weights)), (2, 3))
    # A slice starts in the middle of Arrow's buffers: offsets must be honoured.
    (first, second) = results(files, iter([arrow_batch(), arrow_batch().slice(4, 3)]))
    ids = np.arange(1000, 1010)
    np.testing.assert_array_equal(first.ids, ids)
    np.testing.assert_array_equal(first.intended_ms, ids)
    np.testing.assert_array_equal(first.labels, ids % 200 + 7)
    assert (first.partition, first.first_offset, first.last_offset) == (3, 50, 59)
    assert (first.batch_id, first.attempt) == (4, 1)
    assert first.model == records.model_tag(files.key)
    np.testing.assert_array_equal(second.ids, ids[4:7])
    np.testing.assert_array_equal(second.labels, ids[4:7] % 200 + 7)
    assert (second.first_offset, second.last_offset) == (54, 56)


def counting(tmp_path: Path) -> model_files.ModelFiles:
    """A model of its own for each test, since a process keeps what it built."""
    weights = tmp_path / "weights"
    weights.write_text(str(tmp_path))
    return model_files.read(model_spec(tmp_path, "CountsCalls", weights=str(weights)), (2, 3))


def test_one_call_sees_all_batches_of_a_task(tmp_path: Path) -> None:
    batches = [arrow_batch(10, 1000), arrow_batch(0), arrow_batch(6, 1010).slice(2)]
    (record,) = results(counting(tmp_path), iter(batches), Way(calls="one_per_batch"))
    np.testing.assert_array_equal(record.ids, [*range(1000, 1010), *range(1012, 1016)])
    assert set(record.labels) == {1}


def test_a_call_may_be_larger_than_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "MOST_IMAGES", 4)
    found = results(counting(tmp_path), iter([arrow_batch(10)]), Way(calls="one_per_batch"))
    assert [len(record) for record in found] == [4, 4, 2]
    assert {int(label) for record in found for label in record.labels} == {1}
    np.testing.assert_array_equal(np.concatenate([r.ids for r in found]), range(1000, 1010))
    assert [(r.first_offset, r.last_offset) for r in found] == [(50, 53), (54, 57), (58, 59)]


Row = namedtuple(  # noqa: PYI024
    "Row", ("key", "value", "size", "partition", "offset", "intended_ms", "headed")
)


def rows(count: int = 10, first: int = 1000) -> Iterator[Any]:
    """The images of `arrow_batch`, as Spark hands out rows."""
    for index, i in enumerate(range(first, first + count)):
        value = bytearray([i % 200] + [0] * 5)
        yield Row(bytearray(i.to_bytes(8, "big")), value, 6, 3, 50 + index, i, False)


def row_results(
    files: model_files.ModelFiles, given: Iterator[Any], way: Way
) -> list[records.Record]:
    task = worker.Classify(files.key, files.image_shape, Broadcast(files), OUTLETS, way)
    found = list(row_worker.ClassifyRows(task, batch_id=4).run(given, attempt=1))
    assert {topic for _, topic in found} <= {"results"}
    return [records.decode(message) for message, _ in found]


def test_rows_give_the_same_results_as_arrow_batches(tmp_path: Path) -> None:
    files = model_files.read(model_spec(tmp_path), (2, 3))
    (from_arrow,) = results(files, iter([arrow_batch()]))
    (from_rows,) = row_results(files, rows(), Way(conversion="rows", calls="one_per_batch"))
    for name in ("ids", "intended_ms", "labels"):
        np.testing.assert_array_equal(getattr(from_rows, name), getattr(from_arrow, name))
    for name in ("partition", "first_offset", "last_offset", "batch_id", "attempt"):
        assert getattr(from_rows, name) == getattr(from_arrow, name)


def test_rows_are_called_in_chunks_or_at_once(tmp_path: Path) -> None:
    files = counting(tmp_path)
    chunked = row_results(files, rows(10), Way("rows", "chunked", chunk_images=4))
    assert [len(record) for record in chunked] == [4, 4, 2]
    assert list(itertools.chain(*(set(r.labels) for r in chunked))) == [1, 2, 3]
    (at_once,) = row_results(files, rows(10), Way("rows", "one_per_batch", chunk_images=4))
    assert set(at_once.labels) == {4}
    assert row_results(files, rows(0), Way("rows", "one_per_batch")) == []


def test_an_empty_batch_gives_no_record(tmp_path: Path) -> None:
    files = model_files.read(model_spec(tmp_path), (2, 3))
    assert results(files, iter([arrow_batch(0)])) == []


def test_a_class_without_predict_is_told(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="Mute has no method predict"):
        model_files.build(model_files.read(model_spec(tmp_path, "Mute"), (2, 3)))


def test_a_missing_class_or_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="Nobody"):
        model_files.build(model_files.read(model_spec(tmp_path, "Nobody"), (2, 3)))
    with pytest.raises(SpecError, match=r"nothing\.npz"):
        model_files.read(model_files.ModelSpec("mlp", weights="/nothing.npz"), (28, 28))


@pytest.mark.parametrize("given", [{"kind": "resnet"}, {"kind": "mlp"}, {"kind": "file"}])
def test_an_incomplete_model_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"allowed|needs"):
        model_files.ModelSpec(**given)
