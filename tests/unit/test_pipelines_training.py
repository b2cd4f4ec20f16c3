"""What runs on the nodes in a training, without one: shards, ranks, channel, supervision."""

import json
import os
import select
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pytest

from streambed import paths
from streambed.pipelines import weights
from streambed.pipelines.datasets import Dataset
from streambed.pipelines.errors import ServiceError
from streambed.pipelines.training import (
    channel,
    mpi,
    prepare,
    program,
    rank,
    schedule,
    shards,
    state,
    supervise,
    torch_replica,
    watchdog,
)
from streambed.pipelines.training.channel import Ears, Message, Start, Voice
from streambed.pipelines.training.job import RankJob
from streambed.pipelines.training.program import Training, TrainingSpec
from streambed.pipelines.training.state import Arrays
from streambed.pipelines.training.steps import Steps
from streambed.pipelines.training.supervise import Deadlines, Lost

CLASSES = 3


def images(count: int, shape: tuple[int, ...] = (6, 6)) -> Dataset:
    """Images that a linear network tells apart: each class has bright pixels of its own."""
    random = np.random.RandomState(0)
    labels = random.randint(0, CLASSES, count).astype(np.int32)
    pixels = random.randint(0, 60, (count, *shape)).astype(np.uint8)
    for index, label in enumerate(labels):
        pixels[index, 2 * label : 2 * label + 2] += 150
    return Dataset(pixels, labels)


def job(**more: Any) -> RankJob:
    given: dict[str, Any] = {
        "network": "lenet5",
        "image_shape": (6, 6),
        "classes": CLASSES,
        "images": 60,
        "ranks": 1,
        "batch_size": 12,
        "epochs": 4,
        "iterations": None,
        "seed": 1,
        "shards": "run-1",
        "stretch": 1,
        "driver_address": "127.0.0.1",
        "driver_port": 0,
        "key": "00",
        "start_s": 60.0,
        "stall_s": 60.0,
    }
    return RankJob(**{**given, **more})


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


class Linear:
    """A replica of one rank: softmax regression in NumPy."""

    rank, ranks = 0, 1
    versions: ClassVar[dict[str, str]] = {"engine": "linear"}
    waited_s: float | None = 0.0

    def __init__(self, _job: RankJob) -> None:
        self.weights = np.zeros((36, CLASSES))
        self.velocity = np.zeros_like(self.weights)
        self.synchronised = 0

    def _probabilities(self, pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        scores = np.exp(pixels.reshape(len(pixels), -1) @ self.weights)
        return np.asarray(scores / scores.sum(axis=1, keepdims=True))

    def step(
        self, pixels: npt.NDArray[np.float32], labels: npt.NDArray[np.int32], step_size: float
    ) -> float:
        found = self._probabilities(pixels)
        own = found[np.arange(len(labels)), labels]
        found[np.arange(len(labels)), labels] -= 1
        gradient = pixels.reshape(len(pixels), -1).T @ found / len(labels)
        self.velocity = 0.9 * self.velocity - step_size * gradient
        self.weights = self.weights + self.velocity
        return float(-np.log(own).mean())

    def scores(self, pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return np.log(self._probabilities(pixels)).astype(np.float32)

    def total(self, values: Sequence[float]) -> list[float]:
        return list(values)

    def state(self) -> dict[str, npt.NDArray[Any]]:
        return {"weights/w": self.weights, "momentum/w": self.velocity}

    def restore(self, arrays: Arrays) -> None:
        self.weights, self.velocity = arrays["weights/w"], arrays["momentum/w"]

    def synchronise(self) -> None:
        self.synchronised += 1

    def blames_others(self, error: Exception) -> bool:
        return isinstance(error, ConnectionError)


@pytest.fixture
def ears() -> Iterator[Ears]:
    listening = Ears("127.0.0.1", 0)
    listening.port = listening._listener.address[1]
    yield listening
    listening.close()


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder with the shards of `job()`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(rank, "BEAT_S", 0.0)
    (part,) = shards.split(images(60), images(30), 1, seed=1)
    folder = shards.folder_of("run-1")
    shards.write(folder, part, "shift", 1)
    return folder


def at(ears: Ears, **more: Any) -> RankJob:
    return job(driver_port=ears.port, key=ears.key.hex(), **more)


def heard(ears: Ears, last: str = "done") -> list[Message]:
    """What a rank told, up to its message of kind `last`."""
    found: list[Message] = []
    while not found or found[-1].kind != last:
        message = ears.hear(60)
        assert message is not None, f"after {[m.kind for m in found]}"
        found.append(message)
    return found


def test_a_rank_tells_of_each_epoch_and_learns(ears: Ears, written: Path) -> None:
    ears.begin(Start(1))
    rank.work(at(ears), Linear, [written])
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
    assert sum(m.kind == "beat" for m in told) == 20


def test_what_is_resumed_from_a_checkpoint_ends_where_the_whole_does(
    ears: Ears, written: Path
) -> None:
    ears.begin(Start(1))
    rank.work(at(ears), Linear, [written])
    whole = [m for m in heard(ears) if m.kind == "epoch"]
    ears.begin(Start(2, 2, whole[1].data))
    rank.work(at(ears, stretch=2), Linear, [written])
    rest = [m for m in heard(ears) if m.kind == "epoch"]
    assert [m.fields["epoch"] for m in rest] == [3, 4]
    end, again = (state.unpack(m.data)["weights/w"] for m in (whole[-1], rest[-1]))
    assert np.allclose(end, again)


def test_a_bounded_training_ends_within_its_epoch(ears: Ears, written: Path) -> None:
    ears.begin(Start(1))
    rank.work(at(ears, iterations=7), Linear, [written])
    epochs = [m.fields for m in heard(ears) if m.kind == "epoch"]
    assert [(e["epoch"], e["updates"], e["images"]) for e in epochs] == [(1, 5, 60), (2, 7, 24)]


class Diverging(Linear):
    def step(self, *_: Any) -> float:
        return float("nan")


class Alone(Linear):
    def step(self, *_: Any) -> float:
        raise ConnectionError("peer is gone")


def test_a_failure_of_its_own_is_told_and_one_of_others_is_not(ears: Ears, written: Path) -> None:
    ears.begin(Start(1))
    with pytest.raises(ArithmeticError):
        rank.work(at(ears), Diverging, [written])
    failed = heard(ears, "failed")[-1]
    assert "the loss is nan after 1 updates" in failed.fields["reason"]
    ears.begin(Start(2))
    with pytest.raises(ConnectionError):
        rank.work(at(ears, stretch=2), Alone, [written])
    assert [m.kind for m in heard(ears, "gone")] == ["hello", "gone"]


def test_who_has_no_key_or_comes_from_an_earlier_stretch_is_not_heard(
    ears: Ears, written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ears.begin(Start(2))
    with pytest.raises(Exception, match="digest"):
        Voice("127.0.0.1", ears.port, b"another key", stretch=2, rank=0)
    rank.work(at(ears, stretch=1), Linear, [written])
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
    with pytest.raises(ServiceError, match="cannot be read"):
        state.unpack(b"nothing")


def test_torch_calls_its_layers_as_the_artefact_does() -> None:
    assert torch_replica.plain_name("conv1.weight") == "conv1/W"
    assert torch_replica.plain_name("fc5.bias") == "fc5/b"
    assert torch_replica.interface_of("127.0.0.1") == "lo"
    assert torch_replica.interface_of("192.0.2.1") is None


def test_torch_tells_a_lost_rank_from_a_mistake_by_gloo_s_words() -> None:
    replica = object.__new__(torch_replica.TorchReplica)
    lost = "[./gloo/transport/tcp/pair.cc:598] Connection closed by peer [127.0.0.1]:51099"
    assert replica.blames_others(RuntimeError(lost))
    assert not replica.blames_others(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not replica.blames_others(ArithmeticError("the loss is nan after 3 updates"))


def test_the_watchdog_ends_who_waits_too_long_or_lost_its_parent() -> None:
    watching = watchdog.Watchdog(limit_s=100.0)
    assert watching.reason() is None
    watching.moved(limit_s=-1.0)
    assert "nothing moved" in str(watching.reason())
    watching.moved(limit_s=100.0)
    watching._parent = -1
    assert "gone" in str(watching.reason())


OWN_PATH = {**os.environ, "PYTHONPATH": str(paths.ROOT / "app")}


def test_the_watchdog_ends_a_process_whose_output_nobody_reads_any_more() -> None:
    code = (
        "import time\n"
        "from streambed.pipelines.training.watchdog import Watchdog\n"
        "with Watchdog(limit_s=-1.0):\n"
        "    time.sleep(60)\n"
    )
    reading, writing = os.pipe()
    os.close(reading)
    orphan = subprocess.Popen([sys.executable, "-c", code], stderr=writing, env=OWN_PATH)
    os.close(writing)
    try:
        assert orphan.wait(30) == os.EX_TEMPFAIL
    finally:
        orphan.kill()
        orphan.wait()


def test_the_watchdog_leaves_a_process_alone_when_the_rank_has_ended() -> None:
    with watchdog.Watchdog(limit_s=100.0) as watching:
        (thread,) = [t for t in threading.enumerate() if t.name == "watchdog"]
    watching.moved(limit_s=-1.0)
    thread.join(30)
    assert not thread.is_alive()


# --- launch ---------------------------------------------------------------------------------


def test_mpiexec_is_told_hosts_by_address_and_ports_of_one_range() -> None:
    addresses = ["10.9.0.21", "10.9.0.22", "10.9.0.21"]
    assert mpi.hosts_of(addresses) == ["10.9.0.21:2", "10.9.0.22:1"]
    command = mpi.mpiexec_command(addresses, 99.5)
    assert "MPIEXEC_PORT_RANGE=7100:7199" in command
    assert command[command.index("-hosts") + 1] == "10.9.0.21:2,10.9.0.22:1"
    assert command[command.index("-localhost") + 1] == "10.9.0.21"
    assert command[command.index("-n") + 1] == "3"
    started = command[command.index("-n") + 2 :]
    assert started[1:3] == ["-m", "streambed.pipelines.training.bound"]
    found = mpi.environment(job(key="secret"), ["/a", "/b"])
    assert json.loads(found[mpi.FOLDERS]) == ["/a", "/b"]
    assert json.loads(found["STREAMBED_RANK"])["key"] == "secret"


def test_a_bound_process_dies_with_who_started_it() -> None:
    """What is bound tells its id and holds a pipe, which ends with it."""
    command = [sys.executable, "-m", "streambed.pipelines.training.bound"]
    command += ["sh", "-c", "echo $$; exec sleep 60"]
    starts = f"import subprocess, time; subprocess.Popen({command!r}); time.sleep(60)"
    with subprocess.Popen(
        [sys.executable, "-c", starts],
        stdout=subprocess.PIPE,
        text=True,
        env=OWN_PATH,
    ) as parent:
        assert parent.stdout is not None
        assert int(parent.stdout.readline()) > 0
        parent.kill()
        ended, _, _ = select.select([parent.stdout], [], [], 20)
        assert ended, "it lives on"
        assert parent.stdout.read() == ""


def speaking(*lines: str, status: int = 0) -> "subprocess.Popen[str]":
    code = f"import sys; print({chr(10).join(lines)!r}, flush=True); sys.exit({status})"
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def test_the_proxies_are_those_that_mpiexec_tells() -> None:
    process = speaking("HYDRA_LAUNCH: /x/hydra_pmi_proxy --proxy-id 0 ", "HYDRA_LAUNCH_END")
    assert mpi.Tail(process).proxies(20, 1) == ["/x/hydra_pmi_proxy --proxy-id 0"]
    process.wait()
    process = speaking("cannot listen", "HYDRA_LAUNCH_END", status=1)
    with pytest.raises(ServiceError, match=r"0 of 2 proxies.*cannot listen"):
        mpi.Tail(process).proxies(20, 2)
    process.wait()


def test_a_process_that_fails_ends_the_others() -> None:
    sleeping = subprocess.Popen(["sleep", "100"], stdout=subprocess.PIPE, text=True)
    failing = speaking("rank 1 exploded", status=3)
    tails = [(sleeping, mpi.Tail(sleeping)), (failing, mpi.Tail(failing))]
    with pytest.raises(ServiceError, match="status 3"):
        mpi._wait(tails, 60)
    assert sleeping.poll() is not None
    slow = subprocess.Popen(["sleep", "100"], stdout=subprocess.PIPE, text=True)
    with pytest.raises(ServiceError, match="did not end within 0 s"):
        mpi._wait([(slow, mpi.Tail(slow))], 0)
    assert slow.poll() is not None


# --- supervision ----------------------------------------------------------------------------


class FakeJob:
    """A Spark job that runs until it is cancelled, or ends at once with an error."""

    error: BaseException | None = None
    ends = False

    def __init__(self, *_: Any) -> None:
        self.running = not type(self).ends
        self.error = type(self).error
        self.value = None

    def cancel(self) -> None:
        self.running = False

    def join(self, _timeout_s: float) -> None:
        self.running = False


@pytest.fixture
def spark(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """Spark with executors as `hosts` says; its jobs are fakes."""
    known = SimpleNamespace(hosts={"0": "10.9.0.21", "1": "10.9.0.22"})
    monkeypatch.setattr(supervise, "_Job", FakeJob)
    monkeypatch.setattr(supervise, "END_S", 0.3)
    monkeypatch.setattr(supervise, "_HEAR_S", 0.05)
    monkeypatch.setattr("streambed.pipelines.spark_session.executor_hosts", lambda _: known.hosts)
    yield known
    FakeJob.ends, FakeJob.error = False, None


def say(ears: Ears, kind: str, number: int, **fields: Any) -> None:
    ears._heard.put(Message(kind, {"stretch": ears.start.stretch, "rank": number, **fields}))


def followed(ears: Ears, spark: SimpleNamespace, **limits: float) -> list[str]:
    deadlines = Deadlines(**{"start_s": 5.0, "silence_s": 5.0, "longest_s": 9.0, **limits})
    session: Any = None
    told = supervise.stretch(session, "chainermn", job(ranks=2), ears, dict(spark.hosts), deadlines)
    return [message.kind for message in told]


def test_a_stretch_ends_when_all_ranks_are_done(ears: Ears, spark: SimpleNamespace) -> None:
    for kind, number in (("hello", 0), ("hello", 1), ("epoch", 0), ("done", 1), ("done", 0)):
        say(ears, kind, number)
    assert followed(ears, spark) == ["hello", "hello", "epoch"]


def test_a_rank_that_is_gone_loses_the_stretch(ears: Ears, spark: SimpleNamespace) -> None:
    for kind in ("hello", "gone"):
        say(ears, kind, 1)
    with pytest.raises(Lost, match="rank 1 is gone"):
        followed(ears, spark)


def test_a_rank_that_fails_fails_the_training(ears: Ears, spark: SimpleNamespace) -> None:
    say(ears, "failed", 1, reason="rank 1: ValueError()")
    with pytest.raises(ServiceError, match="rank 1: ValueError"):
        followed(ears, spark)


def test_ranks_that_do_not_come_or_fall_silent_end_a_stretch(
    ears: Ears, spark: SimpleNamespace
) -> None:
    with pytest.raises(ServiceError, match="0 of 2 ranks came"):
        followed(ears, spark, start_s=0.2)
    for number in (0, 1):
        say(ears, "hello", number)
    with pytest.raises(ServiceError, match="no rank was heard"):
        followed(ears, spark, silence_s=0.2)
    with pytest.raises(ServiceError, match="did not end within"):
        followed(ears, spark, longest_s=0.1)


def test_a_job_that_ends_early_is_a_loss_only_where_an_executor_is_another_one(
    ears: Ears, spark: SimpleNamespace
) -> None:
    FakeJob.ends, FakeJob.error = True, ServiceError("mpiexec ended with status 1")
    with pytest.raises(ServiceError, match="mpiexec ended") as caught:
        followed(ears, spark)
    assert not isinstance(caught.value, Lost)
    before = dict(spark.hosts)
    spark.hosts = {"0": "10.9.0.21"}
    told = supervise.stretch(
        None,
        "chainermn",
        job(ranks=2),
        ears,
        before,
        Deadlines(5, 5, 9),
    )
    with pytest.raises(Lost, match="mpiexec ended"):
        list(told)


def spec(**more: Any) -> TrainingSpec:
    given: dict[str, Any] = {
        "master_url": "spark://10.9.0.13:7077",
        "driver_address": "127.0.0.1",
        "name": "run",
        "engine": "chainermn",
        "out": "weights.npz",
        "executors": 2,
        "batch_size": 12,
        "epochs": 4,
        "ears_port": 0,
    }
    return TrainingSpec(**{**given, **more})


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"batch_size": 13}, "no multiple of 2 ranks"),
        ({"engine": "bigdl"}, "chainermn, torch, spark-mlp"),
        ({"augment": "flip"}, "none, shift"),
        ({"executors": 0}, "must be >= 1"),
        ({"iterations": 0}, "iterations"),
    ],
)
def test_a_spec_that_makes_no_sense_is_refused(more: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        spec(**more)


def test_spark_never_repeats_or_waits_for_a_stage_by_itself() -> None:
    found = program.settings(spec(), images(60))
    assert found["spark.stage.maxConsecutiveAttempts"] == "1"
    assert found["spark.barrier.sync.timeout"] == "300s"
    large = Dataset(np.zeros((300, 1024, 1024), np.uint8), np.zeros(300, np.int32))
    assert int(program.settings(spec(), large)["spark.rpc.message.maxSize"]) > 150


def epoch_of(number: int, ranks: int) -> Message:
    arrays = {"weights/w": np.full(2, number), "momentum/w": np.zeros(2)}
    fields = {
        "stretch": 1 if number < 3 else 2,
        "rank": 0,
        "epoch": number,
        "updates": 5 * number,
        "images": 60,
        "loss": 1.0 / number,
        "test_loss": 1.0,
        "top1": 0.5,
        "top5": 1.0,
        "train_s": 2.0,
        "evaluate_s": 0.5,
        "wait_s": 0.1,
        "ranks": ranks,
    }
    return Message("epoch", fields, state.pack(arrays))


def test_a_training_goes_on_from_its_checkpoint_with_what_is_left(
    spark: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(program, "PATIENCE_S", 0.1)
    monkeypatch.setattr(program, "_LOOK_S", 0.05)
    monkeypatch.setattr(prepare, "prepare", lambda *_, **__: [])
    monkeypatch.setattr(supervise, "within", lambda _s, _n, call, _t: call())
    seen: list[tuple[int, int, int]] = []

    def stretch(_s: Any, _e: str, told: RankJob, ears: Ears, *_: Any) -> Iterator[Message]:
        seen.append((told.stretch, told.ranks, ears.start.epochs))
        if told.stretch == 1:
            yield epoch_of(1, 2)
            yield epoch_of(2, 2)
            spark.hosts = {"0": "10.9.0.21"}
            raise Lost("rank 1 is gone")
        assert np.array_equal(state.unpack(ears.start.state)["weights/w"], [2, 2])
        yield epoch_of(3, 1)
        yield epoch_of(4, 1)

    monkeypatch.setattr(supervise, "stretch", stretch)
    asked = spec(out=str(tmp_path / "weights.npz"))
    session: Any = None
    done = Training(session, asked, images(60), images(30)).run()
    assert seen == [(1, 2, 0), (2, 1, 2)]
    assert (done["losses"], done["updates"], done["images"]) == (1, 20, 240)
    assert done["train_s"] == 8.0
    assert [entry["epoch"] for entry in done["curve"]] == [1, 2, 3, 4]
    assert Path(done["out"]).exists()


def test_what_cannot_share_the_batch_is_a_clear_end(
    spark: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "_LOOK_S", 0.02)
    monkeypatch.setattr(program, "PATIENCE_S", 0.0)
    monkeypatch.setattr(program, "LONGEST_WAIT_S", 0.2)
    session: Any = None
    training = Training(session, spec(executors=3, batch_size=9), images(60), images(30))
    training._reached.losses = 1
    with pytest.raises(ServiceError, match="2 of 3 executors are there"):
        training.await_slots()
    training = Training(session, spec(executors=3, batch_size=12), images(60), images(30))
    training._reached.losses = 1
    assert len(training.await_slots()) == 2
    assert training.slots == 2


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
