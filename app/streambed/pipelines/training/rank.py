"""What every rank does, whichever engine started it: read its shard, train, evaluate, tell."""

import contextlib
import math
import os
import socket
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from streambed.pipelines.training import channel, schedule, shards, state
from streambed.pipelines.training.channel import GivenUp, Refused, Voice
from streambed.pipelines.training.job import RankJob
from streambed.pipelines.training.replica import Replica
from streambed.pipelines.training.watchdog import Watchdog
from streambed.pipelines.worker import ADDRESS

BEAT_S = 2.0
"""How often rank 0 says how far it is."""

TEST_IMAGES = 500
"""Images per call when the network is evaluated."""

TOP = 5


def judged(
    scores: npt.NDArray[np.float32], labels: npt.NDArray[np.int32]
) -> tuple[float, int, int]:
    """Sum of the loss, labels that are the best score, labels among the best five.

    Args:
        scores: before softmax, float[n, classes].
        labels: int[n].
    """
    wide = scores.astype(np.float64)
    highest = wide.max(axis=1)
    norm = highest + np.log(np.exp(wide - highest[:, None]).sum(axis=1))
    own = wide[np.arange(len(labels)), labels]
    above = (wide > own[:, None]).sum(axis=1)
    return float((norm - own).sum()), int((above < 1).sum()), int((above < TOP).sum())


@dataclass
class _Progress:
    """What this rank has done since it started."""

    updates: int = 0
    images: int = 0
    loss_sum: float = 0.0
    train_s: float = 0.0


class Rank:
    """One rank at work."""

    def __init__(self, job: RankJob, replica: Replica, voice: Voice, watchdog: Watchdog) -> None:
        self._job = job
        self._steps = job.steps
        self._replica = replica
        self._voice = voice
        self._watchdog = watchdog
        self._told_at = time.monotonic()

    def train(self, shard: shards.Shard, done_epochs: int) -> None:
        """Train from after `done_epochs` whole epochs to the end, telling of each epoch."""
        steps, replica = self._steps, self._replica
        update = done_epochs * steps.per_epoch
        whole = _Progress()
        for epoch in range(done_epochs, steps.epochs):
            if update >= steps.updates:
                break
            self._watchdog.moved(self._job.stall_s)
            waited_s = replica.waited_s
            epoch_progress = self._train_epoch(shard, epoch, update)
            update += epoch_progress.updates
            wait_s = None if waited_s is None else (replica.waited_s or 0.0) - waited_s
            began = time.perf_counter()
            mine = [epoch_progress.loss_sum, epoch_progress.images, wait_s or 0.0]
            sums = replica.total(mine)
            test = self._evaluate(shard, epoch_progress, epoch, update)
            evaluate_s = time.perf_counter() - began
            if not math.isfinite(test["test_loss"]):
                raise ArithmeticError(
                    f"the loss of the test images is {test['test_loss']} after {update} updates"
                )
            whole.updates += epoch_progress.updates
            whole.images += epoch_progress.images
            if replica.rank == 0:
                self._voice.tell(
                    channel.EPOCH,
                    state.pack(replica.state()),
                    epoch=epoch + 1,
                    updates=update,
                    images=round(sums[1]),
                    loss=sums[0] / sums[1],
                    **test,
                    train_s=epoch_progress.train_s,
                    wait_s=None if wait_s is None else sums[2] / replica.ranks,
                    evaluate_s=evaluate_s,
                    at=time.time(),
                )
        self._voice.tell(channel.DONE, updates=whole.updates, images=whole.images)

    def _train_epoch(self, shard: shards.Shard, epoch: int, first: int) -> _Progress:
        """The updates of one epoch, `first` of all updates on."""
        job, steps = self._job, self._steps
        images = shard.variants[epoch % len(shard.variants)]
        order = np.random.RandomState((job.seed, epoch, shard.index)).permutation(len(images))
        seen = _Progress()
        began = time.perf_counter()
        for chosen in shards.batches(order, steps.rank_batch):
            update = first + seen.updates
            if update >= steps.updates:
                break
            size = schedule.step_size(update, steps.updates, job.batch_size)
            loss = self._replica.step(
                np.ascontiguousarray(images[chosen]), shard.labels[chosen], size
            )
            if not math.isfinite(loss):
                raise ArithmeticError(f"the loss is {loss} after {update + 1} updates")
            seen.updates += 1
            seen.images += len(chosen)
            seen.loss_sum += loss * len(chosen)
            self._watchdog.moved()
            self._beat(seen, epoch, update + 1)
        seen.train_s = time.perf_counter() - began
        return seen

    def _beat(self, seen: _Progress, epoch: int, updates: int) -> None:
        now = time.monotonic()
        if self._replica.rank == 0 and now - self._told_at >= BEAT_S:
            self._told_at = now
            images = seen.images * self._replica.ranks
            self._voice.tell(channel.BEAT, epoch=epoch + 1, updates=updates, images=images)

    def _evaluate(
        self, shard: shards.Shard, seen: _Progress, epoch: int, updates: int
    ) -> dict[str, float]:
        """Loss, top-1 and top-5 over the test images of all ranks."""
        sums = np.zeros(4)
        for begin in range(0, len(shard.test), TEST_IMAGES):
            part = slice(begin, begin + TEST_IMAGES)
            scores = self._replica.scores(np.array(shard.test[part]))
            sums += (*judged(scores, shard.test_labels[part]), len(scores))
            self._watchdog.moved()
            # A large test set takes longer than the driver waits for a word.
            self._beat(seen, epoch, updates)
        loss, first, among, images = self._replica.total([float(value) for value in sums])
        return {"test_loss": loss / images, "top1": first / images, "top5": among / images}


def work(
    job: RankJob,
    make_replica: Callable[[RankJob], Replica],
    folders: Sequence[Path],
    blames_others: Callable[[Exception], bool],
) -> None:
    """Be a rank from start to end; `folders` may hold its shard.

    Whatever ends it is told to the driver: as a failure of its own, so that nobody tries the same
    again, or, where `blames_others` says so of the error, as one that another rank is the cause of.

    Raises:
        Exception: the same that the driver was told.
    """
    with Watchdog(job.start_s) as watchdog:
        # First of all: what fails after it is told at once.
        voice = Voice(
            job.driver_address,
            job.driver_port,
            bytes.fromhex(job.key),
            stretch=job.stretch,
            address=os.environ.get(ADDRESS),
        )
        watchdog.farewell = lambda reason: voice.tell(channel.STRANDED, reason=reason)
        try:
            shard = shards.load(shards.claim(folders, f"{job.stretch}"))
            replica = make_replica(job)
            voice.always(rank=replica.rank)
            done_epochs, reached = voice.hello(**_about(replica, shard))
            if reached:
                replica.restore(state.unpack(reached))
            replica.synchronise()
            Rank(job, replica, voice, watchdog).train(shard, done_epochs)
        except GivenUp:
            sys.stderr.write("rank ended: the driver has given this stretch up\n")
        except Refused:
            raise
        except Exception as error:
            # Where there is no shard, the executor is not the one that wrote it.
            others = isinstance(error, shards.NoShard) or blames_others(error)
            kind = channel.STRANDED if others else channel.FAILED
            with contextlib.suppress(OSError):
                voice.tell(kind, reason=in_words(error))
            raise


def in_words(error: Exception) -> str:
    """The last line of an error's traceback, and where it was raised: `file.py, line 5, step`."""
    what = " ".join("".join(traceback.format_exception_only(error)).split())
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return what
    last = frames[-1]
    return f"{what} ({Path(last.filename).name}, line {last.lineno}, {last.name})"


def _about(replica: Replica, shard: shards.Shard) -> dict[str, Any]:
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "shard": shard.index,
        "images": len(shard.labels),
        "versions": replica.versions,
        "at": time.time(),
    }
