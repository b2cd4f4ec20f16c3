"""What a rank does in a training, without a node: its share, its images, what it tells."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.ranks import CLASSES, Linear, at, heard, images, job, listening, work

from streambed.pipelines import datasets, weights
from streambed.pipelines.errors import ServiceError, SpecError
from streambed.pipelines.training import channel, rank, schedule, shards, state
from streambed.pipelines.training.channel import Ears, Message, Refused, Start, Voice
from streambed.pipelines.training.job import RankJob
from streambed.pipelines.training.roll import Roll
from streambed.pipelines.training.state import Arrays
from streambed.pipelines.training.steps import Steps
from streambed.pipelines.worker import ADDRESS

# --- arithmetic -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "per_epoch", "updates", "trained"),
    [
        (Steps(60_000, 4, 768, 15), 79, 1185, 900_000),
        (Steps(60_000, 1, 1, 15), 60_000, 900_000, 900_000),
        (Steps(60_000, 1, 1, 15, 1000), 60_000, 1000, 1000),
        (Steps(10, 3, 6, 2), 2, 4, 24),
        (Steps(10, 2, 4, 2, 4), 3, 4, 14),
        (Steps(10, 2, 4, 1, 99), 3, 3, 10),
    ],
)
def test_a_training_is_cut_into_updates(
    steps: Steps, per_epoch: int, updates: int, trained: int
) -> None:
    assert (steps.per_epoch, steps.updates, steps.trained_images) == (per_epoch, updates, trained)


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    with pytest.raises(ValueError, match="no multiple of 3 ranks"):
        Steps(60_000, 3, 512, 1)


def test_the_step_size_rises_then_falls_to_nothing_and_grows_with_the_root_of_the_batch() -> None:
    sizes = [schedule.step_size(update, 100, 100) for update in range(100)]
    peak = max(sizes)
    assert peak == pytest.approx(0.05)
    assert sizes.index(peak) == 4
    assert sizes[0] < sizes[1] < peak
    assert 0 < sizes[-1] < 0.001
    assert schedule.step_size(50, 100, 400) == pytest.approx(2 * schedule.step_size(50, 100, 100))


def test_first_and_first_five_are_told_by_the_scores() -> None:
    scores = np.array([[9, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5]], np.float32)
    loss, first, among = rank.judged(scores, np.array([0, 0], np.int32))
    assert (first, among) == (1, 1)
    by_hand = -np.log(np.exp(scores[:, 0]) / np.exp(scores).sum(axis=1)).sum()
    assert loss == pytest.approx(float(by_hand))


# --- shards ---------------------------------------------------------------------------------


def test_parts_are_equal_and_hold_every_image(tmp_path: Path) -> None:
    training, test = images(10), images(7)
    parts = shards.split(training, test, 3, seed=1)
    told = [shards.write(tmp_path, part, "none", 1) for part in parts]
    assert [each["images"] for each in told] == [4, 4, 4]
    assert sum(each["test_images"] for each in told) == 7
    loaded = [shards.load(tmp_path / str(part.index)) for part in parts]
    seen = np.concatenate([shard.variants[0] for shard in loaded])
    rows = {image.tobytes() for image in (seen * 255).round().astype(np.uint8)}
    assert rows == {image.tobytes() for image in training.images}
    assert seen.dtype == np.float32
    assert float(seen.max()) <= 1.0


def test_a_shifted_variant_has_the_same_labels_and_other_pixels(tmp_path: Path) -> None:
    (part,) = shards.split(images(20), images(4), 1, seed=1)
    shards.write(tmp_path, part, "shift", 1)
    shard = shards.load(tmp_path / "0")
    plain, shifted = shard.variants
    assert plain.shape == shifted.shape
    assert not np.array_equal(plain, shifted)


def test_pictures_are_decoded_by_who_writes_the_shard_and_not_before(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    pixels = np.random.RandomState(0).randint(0, 255, (6, 5, 4, 3)).astype(np.uint8)
    for number, each in enumerate(pixels):
        Image.fromarray(each).save(folder / f"{number}.png")
    listed = "".join(f"{number}.png,{number % 2}\n" for number in range(6))
    (folder / "labels.csv").write_text("file,label\n" + listed)
    found = datasets.undecoded(str(folder), "train")
    assert isinstance(found, datasets.Pictures)
    assert found.image_shape == (5, 4, 3)
    assert found.raw_bytes == sum((folder / f"{number}.png").stat().st_size for number in range(6))
    parts = shards.split(found, found, 2, seed=1)
    pictures = [part.train for part in parts if not isinstance(part.train, bytes)]
    names = [name for each in pictures for name, _ in each]
    assert sorted(names) == sorted(str(path) for path in found.paths)
    for part in parts:
        shards.write(tmp_path / "shards", part, "none", 1)
    loaded = [shards.load(tmp_path / "shards" / str(part.index)) for part in parts]
    seen = np.concatenate([shard.variants[0] for shard in loaded])
    rows = {image.tobytes() for image in (seen * 255).round().astype(np.uint8)}
    assert rows == {each.tobytes() for each in pixels}
    assert np.array_equal(datasets.load(str(folder)).images, pixels)


def test_a_picture_that_cannot_be_decoded_is_named_where_it_is_tried() -> None:
    raw = (("cat/1.png", b"no picture"),)
    with pytest.raises(SpecError, match=r"cat/1\.png: not a readable PNG or JPEG"):
        shards.decoded(raw, (5, 4))


def test_a_picture_that_is_listed_and_not_there_is_named(tmp_path: Path) -> None:
    Image.new("L", (3, 3)).save(tmp_path / "a.png")
    (tmp_path / "labels.csv").write_text("file,label\na.png,1\nb.png,2\n")
    found = datasets.undecoded(str(tmp_path))
    with pytest.raises(SpecError, match=r"b\.png"):
        _ = found.raw_bytes
    with pytest.raises(SpecError, match=r"b\.png"):
        shards.split(found, found, 1, seed=1)


def test_a_picture_of_another_shape_is_named(tmp_path: Path) -> None:
    Image.new("L", (3, 3)).save(tmp_path / "a.png")
    raw = (("a.png", (tmp_path / "a.png").read_bytes()),)
    with pytest.raises(SpecError, match=r"a\.png: shape \(3, 3\) where the first image has"):
        shards.decoded(raw, (5, 4))


def test_an_image_is_moved_by_its_own_pixels() -> None:
    pixels = np.arange(2 * 25, dtype=np.uint8).reshape(2, 5, 5)
    found = shards.moved(pixels, np.array([[1, -2], [0, 0]]))
    assert np.array_equal(found[1], pixels[1])
    assert np.array_equal(found[0][1:, :-2], pixels[0][:-1, 2:])
    assert not found[0][0].any()
    coloured = np.repeat(pixels[..., None], 3, axis=3)
    moved = shards.moved(coloured, np.array([[2, 2], [-1, 0]]))
    assert np.array_equal(moved[0][2:, 2:], coloured[0][:-2, :-2])


def test_a_shard_is_claimed_once_by_a_stretch(tmp_path: Path) -> None:
    for part in shards.split(images(8), images(4), 2, seed=1):
        shards.write(tmp_path, part, "none", 1)
    first, second = (shards.claim([tmp_path], "1") for _ in range(2))
    assert {first.name, second.name} == {"0", "1"}
    with pytest.raises(ServiceError, match="no shard is left"):
        shards.claim([tmp_path], "1")
    assert shards.claim([tmp_path], "2") == first
    assert shards.nth(tmp_path, 1).name == "1"
    with pytest.raises(ServiceError, match="2 shards, not 3"):
        shards.nth(tmp_path, 2)


# --- ranks and channel ----------------------------------------------------------------------


@pytest.fixture
def ears() -> Iterator[Ears]:
    with listening() as found:
        yield found


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder with the shards of `job()`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(rank, "BEAT_S", 0.0)
    (part,) = shards.split(images(60), images(30), 1, seed=1)
    folder = shards.folder_of("run-1")
    shards.write(folder, part, "shift", 1)
    return folder


def test_a_rank_tells_of_each_epoch_and_learns(ears: Ears, written: Path) -> None:
    ears.begin(Start(1))
    work(at(ears), Linear, [written])
    told = heard(ears)
    assert [m.kind for m in told if m.kind != "beat"] == ["hello", *["epoch"] * 4, "done"]
    epochs = [m.fields for m in told if m.kind == "epoch"]
    assert [e["epoch"] for e in epochs] == [1, 2, 3, 4]
    assert [e["updates"] for e in epochs] == [5, 10, 15, 20]
    assert {e["images"] for e in epochs} == {60}
    assert epochs[-1]["loss"] < epochs[0]["loss"]
    assert epochs[-1]["top1"] > 0.9
    assert epochs[-1]["top5"] == 1.0
    assert told[-1].fields["images"] == 240
    # After each update, and after each part of the test images.
    assert sum(m.kind == "beat" for m in told) == 20 + 4


def test_what_is_resumed_from_a_checkpoint_ends_where_the_whole_does(
    ears: Ears, written: Path
) -> None:
    ears.begin(Start(1))
    work(at(ears), Linear, [written])
    whole = [m for m in heard(ears) if m.kind == "epoch"]
    ears.begin(Start(2, 2, whole[1].data))
    work(at(ears, stretch=2), Linear, [written])
    rest = [m for m in heard(ears) if m.kind == "epoch"]
    assert [m.fields["epoch"] for m in rest] == [3, 4]
    end, again = (state.unpack(m.data)["weights/w"] for m in (whole[-1], rest[-1]))
    assert np.allclose(end, again)


def test_a_bounded_training_ends_within_its_epoch(ears: Ears, written: Path) -> None:
    ears.begin(Start(1))
    work(at(ears, iterations=7), Linear, [written])
    epochs = [m.fields for m in heard(ears) if m.kind == "epoch"]
    assert [(e["epoch"], e["updates"], e["images"]) for e in epochs] == [(1, 5, 60), (2, 7, 24)]


class Diverging(Linear):
    def step(self, *_: Any) -> float:
        return float("nan")


class Alone(Linear):
    def step(self, *_: Any) -> float:
        raise ConnectionError("peer is gone")


class Unable(Linear):
    def __init__(self, _job: RankJob) -> None:
        raise MemoryError("no room for the network")


def test_a_failure_of_its_own_is_told_apart_from_one_of_others(ears: Ears, written: Path) -> None:
    ears.begin(Start(1))
    with pytest.raises(ArithmeticError):
        work(at(ears), Diverging, [written])
    failed = heard(ears, "failed")[-1]
    reason = failed.fields["reason"]
    assert reason.startswith("ArithmeticError: the loss is nan after 1 updates (rank.py, line ")
    assert failed.fields["rank"] == 0
    ears.begin(Start(2))
    with pytest.raises(ConnectionError):
        work(at(ears, stretch=2), Alone, [written])
    told = heard(ears, "stranded")
    assert [m.kind for m in told] == ["hello", "stranded"]
    assert "peer is gone" in told[-1].fields["reason"]


def test_what_fails_before_a_rank_has_a_number_is_told_too(
    ears: Ears, written: Path, tmp_path: Path
) -> None:
    ears.begin(Start(1))
    with pytest.raises(MemoryError):
        work(at(ears), Unable, [written])
    (failed,) = heard(ears, "failed")
    assert "MemoryError: no room for the network" in failed.fields["reason"]
    with pytest.raises(shards.NoShard):
        work(at(ears), Linear, [tmp_path / "empty"])
    (stranded,) = heard(ears, "stranded")
    assert "no shard is left" in stranded.fields["reason"]


class Blind(Linear):
    """Its weights are no numbers after the last update, which its loss does not show."""

    def scores(self, pixels: Any) -> Any:
        return np.full((len(pixels), CLASSES), np.nan, np.float32)


def test_weights_that_are_no_numbers_are_not_evaluated_as_if_they_were(
    ears: Ears, written: Path
) -> None:
    ears.begin(Start(1))
    with pytest.raises(ArithmeticError):
        work(at(ears, epochs=1), Blind, [written])
    reason = heard(ears, "failed")[-1].fields["reason"]
    assert "the loss of the test images is nan after 5 updates" in reason


def roll_of(**more: Any) -> Roll:
    given: dict[str, Any] = {
        "engine": "linear",
        "ranks": 1,
        "each": 1,
        "images": 60,
        "nodes": frozenset({"10.9.0.21"}),
        "homes": {0: "10.9.0.21"},
    }
    return Roll(**{**given, **more})


def test_a_rank_that_introduces_itself_rightly_trains(
    ears: Ears, written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ADDRESS, "10.9.0.21")
    ears.begin(Start(1, roll=roll_of()))
    work(at(ears), Linear, [written])
    assert [m.fields["address"] for m in heard(ears) if m.kind == "hello"] == ["10.9.0.21"]


def test_a_rank_that_introduces_itself_wrongly_does_not_train_and_fails_at_once(
    ears: Ears, written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ADDRESS, "10.9.0.21")
    ears.begin(Start(1, roll=roll_of(engine="chainermn")))
    with pytest.raises(Refused, match="not with chainermn"):
        work(at(ears), Linear, [written])
    (failed,) = heard(ears, "failed")
    assert "not with chainermn" in failed.fields["reason"]
    assert (failed.fields["rank"], failed.fields["address"]) == (0, "10.9.0.21")
    assert ears.hear(0.1) is None


def test_who_speaks_another_language_or_out_of_turn_fails_at_once(ears: Ears) -> None:
    ears.begin(Start(1))
    voice = Voice("127.0.0.1", ears.port, ears.key, stretch=1, rank=0)
    voice._connection.send_bytes(b"hello?")
    assert "not a message" in heard(ears, "failed")[-1].fields["reason"]
    Voice("127.0.0.1", ears.port, ears.key, stretch=1, rank=0).tell("epoch", epoch=1)
    assert "before it has introduced itself" in heard(ears, "failed")[-1].fields["reason"]
    Voice("127.0.0.1", ears.port, ears.key, stretch="1", rank=0).tell("hello")
    assert "of start '1' of all ranks" in heard(ears, "failed")[-1].fields["reason"]


def test_who_says_nothing_keeps_nobody_waiting(ears: Ears) -> None:
    ears.begin(Start(1))
    with socket.create_connection(("127.0.0.1", ears.port)):
        voice = Voice("127.0.0.1", ears.port, ears.key, stretch=1, rank=0)
        assert voice.hello() == (0, b"")


def test_a_rank_without_a_last_word_is_gone(ears: Ears) -> None:
    ears.begin(Start(1))
    voice = Voice("127.0.0.1", ears.port, ears.key, stretch=1, address="10.9.0.22", rank=1)
    voice.hello()
    voice._connection.close()
    gone = heard(ears, "gone")[-1]
    assert gone.fields == {"stretch": 1, "rank": 1, "address": "10.9.0.22"}


def test_who_has_no_key_or_comes_from_an_earlier_stretch_is_not_heard(
    ears: Ears, written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ears.begin(Start(2))
    with pytest.raises(Exception, match="digest"):
        Voice("127.0.0.1", ears.port, b"another key", stretch=2, rank=0)
    work(at(ears, stretch=1), Linear, [written])
    assert "given this stretch up" in capsys.readouterr().err
    assert ears.hear(0.1) is None


def test_a_message_is_what_it_was() -> None:
    message = Message("epoch", {"loss": 0.5}, b"\x00\xff")
    assert channel.decode(channel.encode(message)) == message
    for raw in (b"", b"\x00\x00\x00\x02[]", b"\x00\x00\x00\x02{}"):
        with pytest.raises(ValueError, match="not a message"):
            channel.decode(raw)


def test_a_job_is_what_it_was() -> None:
    assert RankJob.of_json(job(iterations=5).to_json()) == job(iterations=5)


def test_the_artefact_has_the_weights_and_nothing_else() -> None:
    arrays: Arrays = {
        "weights/conv1/W": np.ones(3, np.float32),
        "momentum/conv1/W": np.zeros(3),
    }
    data = state.artefact(state.pack(arrays), weights.Description("lenet5", (28, 28), 10))
    found, description = weights.unpack(data, "here")
    assert list(found) == ["conv1/W"]
    assert description.kind == "lenet5"
    kept = state.unpack(state.checkpoint(state.pack(arrays), 3, 237))
    assert {"weights/conv1/W", "momentum/conv1/W"} < set(kept)
    assert (int(kept["reached/epochs"]), int(kept["reached/updates"])) == (3, 237)
    with pytest.raises(ServiceError, match="cannot be read"):
        state.unpack(b"nothing")


def test_ears_give_each_rank_where_to_begin(ears: Ears) -> None:
    ears.begin(Start(3, 2, b"state"))
    voice = Voice("127.0.0.1", ears.port, ears.key, stretch=3, rank=1)
    assert voice.hello(host="a") == (2, b"state")
    told: list[Message | None] = []
    listening = threading.Thread(target=lambda: told.append(ears.hear(5)))
    listening.start()
    listening.join(5)
    assert told[0] is not None
    assert told[0].fields["host"] == "a"
