"""From an Arrow batch to a result record, with a user's model built from its file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from streambed.pipelines import model_files, records, worker
from streambed.pipelines.errors import SpecError

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
            "partition": pa.array([3] * count, pa.int32()),
            "offset": pa.array(range(50, 50 + count), pa.int64()),
            "timestamp": pa.array([i * 1000 for i in ids], pa.timestamp("us", "UTC")),
        }
    )


class Broadcast:
    """What Spark hands a task: an object with `value`."""

    def __init__(self, value: Any) -> None:
        self.value = value


def results(files: model_files.ModelFiles, batches: Iterator[Any]) -> list[records.Record]:
    function = worker.Classify(files.key, files.image_shape, Broadcast(files))
    return [
        records.decode(message)
        for batch in function.run(batches, batch_id=4, attempt=1)
        for message in batch.column("value").to_pylist()
    ]


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


def test_an_empty_batch_gives_no_record(tmp_path: Path) -> None:
    files = model_files.read(model_spec(tmp_path), (2, 3))
    assert results(files, iter([arrow_batch(0)])) == []


def test_images_of_another_size_are_refused(tmp_path: Path) -> None:
    files = model_files.read(model_spec(tmp_path), (5, 5))
    with pytest.raises(ValueError, match="25 bytes"):
        results(files, iter([arrow_batch()]))


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
