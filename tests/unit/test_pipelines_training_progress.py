"""Where the time of a training went: each second in one figure; and what a kill leaves of it."""

from pathlib import Path
from typing import Any

import pytest

from streambed.pipelines import durable
from streambed.pipelines.errors import ServiceError
from streambed.pipelines.training.progress import Progress


def entry(number: int, **more: Any) -> dict[str, Any]:
    given = {"epoch": number, "updates": 5 * number, "images": 60}
    return {**given, "train_s": 10.0, "evaluate_s": 2.0, **more}


def parts(progress: Progress) -> dict[str, float]:
    """What a row says of the time."""
    curve = progress.curve
    return {
        **{name: progress.figures[name] for name in ("prepare_s", "launch_s", "lost_s")},
        "train_s": sum(e["train_s"] for e in curve),
        "evaluate_s": sum(e["evaluate_s"] for e in curve),
    }


def test_without_a_loss_nothing_is_lost() -> None:
    progress = Progress()
    progress.begin()
    progress.prepared(5.0)
    progress.launched(3.0)
    progress.reach(entry(1), b"1")
    progress.end()
    assert parts(progress) == {
        "prepare_s": 5.0,
        "launch_s": 3.0,
        "lost_s": 0.0,
        "train_s": 10.0,
        "evaluate_s": 2.0,
    }


def test_a_loss_costs_what_was_thrown_away_what_is_done_again_and_waiting() -> None:
    progress = Progress()
    progress.begin()
    progress.prepared(5.0)
    progress.launched(3.0)
    progress.reach(entry(1), b"1")
    # 5 + 3 + 12 s stand elsewhere; 7 s of an epoch came to nothing.
    progress.lose(27.0)
    progress.begin()
    progress.waited(4.0)
    progress.prepared(6.0)
    progress.launched(2.0)
    progress.reach(entry(2), b"2")
    progress.end()
    seen = parts(progress)
    assert seen["lost_s"] == 7.0 + 4.0 + 6.0 + 2.0
    assert (seen["prepare_s"], seen["launch_s"]) == (5.0, 3.0)
    assert sum(seen.values()) == 27.0 + 4.0 + 6.0 + 2.0 + 12.0
    assert (progress.epochs, progress.images, progress.losses) == (2, 120, 1)


def test_several_losses_are_never_more_than_the_whole() -> None:
    """A second stretch that is lost, too, with its waiting, which no figure has twice."""
    progress = Progress()
    whole_s = 0.0
    progress.begin()
    progress.lose(9.0)  # while the images were prepared
    whole_s += 9.0
    progress.begin()
    progress.waited(4.0)
    progress.prepared(6.0)
    progress.launched(2.0)
    progress.lose(20.0)
    whole_s += 20.0
    progress.begin()
    progress.waited(1.0)
    progress.prepared(6.0)
    progress.launched(2.0)
    progress.reach(entry(1), b"1")
    progress.end()
    whole_s += 1.0 + 6.0 + 2.0 + 12.0
    assert sum(parts(progress).values()) == pytest.approx(whole_s)
    assert progress.figures["prepare_s"] == 6.0


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "checkpoint.npz"
    durable.replace(path, b"first")
    durable.replace(path, b"second")
    assert path.read_bytes() == b"second"
    assert [each.name for each in path.parent.iterdir()] == ["checkpoint.npz"]
    path.unlink()
    path.mkdir()
    with pytest.raises(ServiceError, match=r"checkpoint\.npz: cannot be written"):
        durable.replace(path, b"third")
    assert [each.name for each in path.parent.iterdir()] == ["checkpoint.npz"]
