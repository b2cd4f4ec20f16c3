"""What is no image, or what the model fails on, is set aside with its reason; the rest goes on."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.unit.test_pipelines_worker import (
    OUTLETS,
    Broadcast,
    Row,
    arrow_batch,
    messages,
    model_spec,
    rows,
)

from streambed.pipelines import dead_letters, model_files, records, row_worker, worker
from streambed.pipelines.way import Way

BAD: list[tuple[str, Any, Any, bool]] = [
    (dead_letters.SIZE, bytes(8), bytes(5), False),
    (dead_letters.SIZE, bytes(8), bytes(1_000_000), False),
    (dead_letters.EMPTY, bytes(8), b"", False),
    (dead_letters.EMPTY, bytes(8), None, False),
    (dead_letters.KEY, None, bytes(6), False),
    (dead_letters.KEY, b"short", bytes(6), False),
    (dead_letters.HEADERS, bytes(8), bytes(6), True),
]

BREAKS = """
import numpy as np

class Breaks:
    def __init__(self, weights):
        raise RuntimeError("no such layer")

class Fails:
    def __init__(self, weights):
        pass

    def predict(self, images):
        if images[:, 0, 0].max() > 5:
            raise RuntimeError("too bright")
        return np.zeros(len(images), np.int32)

class Leaves:
    def __init__(self, weights):
        pass

    def predict(self, images):
        raise SystemExit(3)

class LeavesAtOnce:
    def __init__(self, weights):
        raise SystemExit(3)
"""


def mixed(key: Any, value: Any, *, headed: bool) -> Any:
    """The images of `arrow_batch`, with a bad record in their middle."""
    whole = arrow_batch().to_pylist()
    size = None if value is None else len(value)
    bad = {"key": key, "value": value, "size": size, "offset": 77, "headed": headed}
    whole.insert(4, whole[4] | bad)
    return pa.RecordBatch.from_pylist(whole, schema=arrow_batch().schema)


def split(found: list[tuple[bytes, str]]) -> tuple[list[records.Record], list[dict[str, Any]]]:
    """Result records, and dead letters."""
    results = [records.decode(message) for message, topic in found if topic == "results"]
    return results, [json.loads(message) for message, topic in found if topic == "dead"]


@pytest.mark.parametrize(("reason", "key", "value", "headed"), BAD)
def test_a_malformed_record_is_set_aside_and_the_others_classified(
    tmp_path: Path, reason: str, key: Any, value: Any, headed: bool
) -> None:
    files = model_files.read(model_spec(tmp_path), (2, 3))
    found = messages(files, iter([mixed(key, value, headed=headed), arrow_batch(3, 2000)]))
    (first, second), (letter,) = split(found)
    assert first.ids.tolist() == list(range(1000, 1010))
    assert second.ids.tolist() == [2000, 2001, 2002]
    assert (letter["reason"], letter["images"]) == (reason, 1)
    assert (letter["partition"], letter["first_offset"], letter["last_offset"]) == (3, 77, 77)
    assert letter["size"] == len(value or b"")
    assert len(bytes.fromhex(letter["head"] or "")) <= dead_letters.HEAD_BYTES


@pytest.mark.parametrize(("reason", "key", "value", "headed"), BAD)
def test_so_is_a_malformed_row(
    tmp_path: Path, reason: str, key: Any, value: Any, headed: bool
) -> None:
    files = model_files.read(model_spec(tmp_path), (2, 3))
    task = worker.Classify(files.key, (2, 3), Broadcast(files), OUTLETS, Way("rows"))
    given = [*rows(), Row(key, value, len(value or b""), 3, 77, 0, headed)]
    found = list(row_worker.ClassifyRows(task, batch_id=4).run(iter(given), attempt=1))
    (record,), (letter,) = split(found)
    assert record.ids.tolist() == list(range(1000, 1010))
    assert (letter["reason"], letter["first_offset"]) == (reason, 77)
    assert letter["size"] == len(value or b"")


@pytest.mark.parametrize("image_bytes", [6, 32, 784])
def test_what_is_cut_is_never_as_long_as_an_image(image_bytes: int) -> None:
    value = worker.columns(image_bytes)[1]
    head = min(dead_letters.HEAD_BYTES, image_bytes - 1)
    whole = f"length(value) = {image_bytes}"
    assert value == f"IF({whole}, value, substring(value, 1, {head})) AS value"


def test_a_batch_of_nothing_but_malformed_records_leaves_letters_only(tmp_path: Path) -> None:
    files = model_files.read(model_spec(tmp_path), (5, 5))
    results, letters = split(messages(files, iter([arrow_batch()])))
    assert results == []
    assert [letter["first_offset"] for letter in letters] == list(range(50, 60))


def test_images_that_the_model_fails_on_are_set_aside_together(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(BREAKS)
    files = model_files.read(
        model_files.ModelSpec("file", path=str(path), class_name="Fails"), (2, 3)
    )
    # The first pixel is the id modulo 200.
    results, letters = split(messages(files, iter([arrow_batch(3, 1000), arrow_batch(4, 1010)])))
    assert [record.ids.tolist() for record in results] == [[1000, 1001, 1002]]
    (letter,) = letters
    assert letter["reason"] == "the model failed: RuntimeError('too bright')"
    assert (letter["images"], letter["first_offset"], letter["last_offset"]) == (4, 50, 53)


def test_a_model_that_cannot_be_built_sets_every_image_aside(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(BREAKS)
    files = model_files.read(
        model_files.ModelSpec("file", path=str(path), class_name="Breaks"), (2, 3)
    )
    results, letters = split(messages(files, iter([arrow_batch(), arrow_batch()])))
    assert results == []
    assert dead_letters.count(json.dumps(each).encode() for each in letters) == {
        letters[0]["reason"]: 20
    }
    assert "no such layer" in letters[0]["reason"]


@pytest.mark.parametrize("name", ["Leaves", "LeavesAtOnce"])
def test_a_model_that_ends_its_process_sets_its_images_aside(tmp_path: Path, name: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(BREAKS)
    files = model_files.read(model_files.ModelSpec("file", path=str(path), class_name=name), (2, 3))
    results, letters = split(messages(files, iter([arrow_batch()])))
    assert results == []
    assert "SystemExit(3)" in letters[0]["reason"]


def test_the_first_letters_are_kept_as_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters, "MOST_KEPT", 2)
    letters = [dead_letters.letter(dead_letters.EMPTY, b"k", b"", 0, 0, 7), b"not JSON", b"{}"]
    dead_letters.keep(letters, tmp_path / "letters.jsonl")
    first, second = map(json.loads, (tmp_path / "letters.jsonl").read_text().splitlines())
    assert (first["reason"], first["first_offset"]) == (dead_letters.EMPTY, 7)
    assert second == {"no letter": b"not JSON".hex()}


def test_letters_are_counted_by_reason_and_strangers_too() -> None:
    letters = [
        dead_letters.letter(dead_letters.EMPTY, b"k", b"", 0, 0, 7),
        *dead_letters.of_many("the model failed: x", [0, 1, 0], [5, 9, 6]),
        b"not JSON",
        b"{}",
    ]
    expected = {dead_letters.EMPTY: 1, "the model failed: x": 3, "no letter": 2}
    assert dead_letters.count(letters) == expected
