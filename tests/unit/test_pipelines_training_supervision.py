"""A training as its driver follows it, without Spark: what ends a stretch, and what follows it."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tests.ranks import images, job, listening

from streambed.pipelines.errors import ServiceError
from streambed.pipelines.training import prepare, program, state, supervise
from streambed.pipelines.training.asked import TrainingSpec, settings
from streambed.pipelines.training.channel import Ears, Message
from streambed.pipelines.training.job import RankJob
from streambed.pipelines.training.program import Training
from streambed.pipelines.training.supervise import Deadlines, Lost


@pytest.fixture
def ears() -> Iterator[Ears]:
    with listening() as found:
        yield found


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
    monkeypatch.setattr(supervise, "GRACE_S", 0.3)
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
        say(ears, kind, 1, address="10.9.0.22")
    with pytest.raises(Lost, match=r"rank 1 on 10\.9\.0\.22 is gone without a word") as caught:
        followed(ears, spark)
    assert caught.value.workers_stay


def test_a_rank_that_fails_fails_the_training(ears: Ears, spark: SimpleNamespace) -> None:
    say(ears, "failed", 1, address="10.9.0.22", reason="ValueError: too hot (rank.py, line 9, f)")
    words = r"rank 1 on 10\.9\.0\.22 failed: ValueError: too hot \(rank\.py, line 9, f\)"
    with pytest.raises(ServiceError, match=words):
        followed(ears, spark)


def test_one_that_fails_is_the_cause_also_when_another_is_missed_before(
    ears: Ears, spark: SimpleNamespace
) -> None:
    """mpiexec ends the others of a rank that fails: whose end is heard first is chance."""
    say(ears, "gone", 0)
    say(ears, "stranded", 2, reason="RuntimeError: Connection closed by peer")
    say(ears, "failed", 1, reason="ArithmeticError: the loss is nan after 5 updates")
    with pytest.raises(ServiceError, match="rank 1 failed: ArithmeticError: the loss is nan"):
        followed(ears, spark)


def test_a_loss_keeps_what_ranks_and_spark_said_of_it(ears: Ears, spark: SimpleNamespace) -> None:
    FakeJob.error = ServiceError("the ranks ended: EXIT STRING: Killed (signal 9)")
    say(ears, "gone", 1)
    say(ears, "stranded", 0, reason="nothing moved for 60 s")
    with pytest.raises(Lost) as caught:
        followed(ears, spark)
    said = "rank 1 is gone without a word; rank 0 cannot go on: nothing moved for 60 s; "
    assert str(caught.value) == f"{said}{FakeJob.error}"


def test_ranks_that_are_gone_twice_while_every_worker_stays_end_the_training(
    spark: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as one that is killed for its memory: the next start would end alike."""
    monkeypatch.setattr(prepare, "prepare", lambda *_, **__: [])
    monkeypatch.setattr(supervise, "within", lambda _s, _n, call, _t: call())
    starts: list[int] = []

    def stretch(_s: Any, _e: str, told: RankJob, *_: Any) -> Iterator[Message]:
        starts.append(told.stretch)
        yield from ()
        raise Lost("rank 1 is gone: Killed (signal 9)", workers_stay=True)

    monkeypatch.setattr(supervise, "stretch", stretch)
    session: Any = None
    with pytest.raises(ServiceError, match=r"Killed \(signal 9\); every worker is there"):
        Training(session, spec(), images(60), images(30)).run()
    assert starts == [1, 2]
    assert len(spark.hosts) == 2


def test_a_loss_that_nobody_comes_back_from_is_told_with_what_it_was(
    spark: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "_LOOK_S", 0.02)
    monkeypatch.setattr(program, "LONGEST_WAIT_S", 0.1)
    monkeypatch.setattr(prepare, "prepare", lambda *_, **__: [])
    monkeypatch.setattr(supervise, "within", lambda _s, _n, call, _t: call())

    def stretch(*_: Any) -> Iterator[Message]:
        spark.hosts = {}
        yield from ()
        raise Lost("rank 1 is gone without a word")

    monkeypatch.setattr(supervise, "stretch", stretch)
    session: Any = None
    words = r"0 of 2 executors are there after 0\.1 s.*; first: rank 1 is gone without a word"
    with pytest.raises(ServiceError, match=words):
        Training(session, spec(), images(60), images(30)).run()


def test_workers_that_are_lost_again_and_again_are_a_clear_end_with_the_first_cause(
    spark: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "prepare", lambda *_, **__: [])
    monkeypatch.setattr(supervise, "within", lambda _s, _n, call, _t: call())

    def stretch(_s: Any, _e: str, told: RankJob, *_: Any) -> Iterator[Message]:
        yield from ()
        raise Lost(f"worker lost in {told.stretch}")

    monkeypatch.setattr(supervise, "stretch", stretch)
    session: Any = None
    with pytest.raises(ServiceError, match=r"in 4 stretches.*first: worker lost in 1"):
        Training(session, spec(), images(60), images(30)).run()
    assert len(spark.hosts) == 2


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


def test_ranks_that_talk_all_the_time_are_ended_when_the_time_is_over(
    ears: Ears, spark: SimpleNamespace
) -> None:
    for number in (0, 1):
        say(ears, "hello", number)
    for _ in range(1000):
        say(ears, "beat", 0)
    with pytest.raises(ServiceError, match="did not end within 0 s"):
        followed(ears, spark, longest_s=0.0)
    assert not ears._heard.empty()


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
    found = settings(spec(), images(60).raw_bytes)
    assert found["spark.stage.maxConsecutiveAttempts"] == "1"
    assert found["spark.barrier.sync.timeout"] == "300s"
    # One worker may be left, with every image.
    mib = 2**20
    assert int(settings(spec(executors=4), 300 * mib)["spark.rpc.message.maxSize"]) >= 300
    assert int(settings(spec(), 9000 * mib)["spark.rpc.message.maxSize"]) == 2047


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
        # What a driver that is killed here would leave.
        left = state.unpack(checkpoint.read_bytes())
        assert np.array_equal(left["weights/w"], [2, 2])
        assert int(left["reached/epochs"]) == 2
        yield epoch_of(3, 1)
        yield epoch_of(4, 1)

    monkeypatch.setattr(supervise, "stretch", stretch)
    checkpoint = tmp_path / "checkpoint.npz"
    asked = spec(out=str(tmp_path / "weights.npz"), checkpoint=str(checkpoint))
    session: Any = None
    done = Training(session, asked, images(60), images(30)).run()
    assert seen == [(1, 2, 0), (2, 1, 2)]
    assert (done["losses"], done["updates"], done["images"]) == (1, 20, 240)
    assert done["train_s"] == 8.0
    assert [entry["epoch"] for entry in done["curve"]] == [1, 2, 3, 4]
    assert Path(done["out"]).exists()
    assert not checkpoint.exists()


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
