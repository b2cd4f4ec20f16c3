"""Engine `chainermn`: LeNet-5 in Chainer, gradients averaged over MPI.

Run as a program (`python -m ...`) it is one rank; mpi.py starts it.
"""

import contextlib
import os
import sys
import time
import traceback
from collections.abc import Sequence
from typing import Any

import chainer
import chainermn
import numpy as np
import numpy.typing as npt
from chainer import functions
from chainer.optimizer_hooks import GradientClipping
from chainer.serializers import NpzDeserializer
from chainermn.communicators.naive_communicator import NaiveCommunicator
from mpi4py import MPI

from streambed.pipelines.training import state
from streambed.pipelines.training.job import VARIABLE, RankJob
from streambed.pipelines.training.quick_lenet5 import QuickLeNet5
from streambed.pipelines.training.schedule import MOMENTUM, MOST_NORM
from streambed.pipelines.training.state import Arrays

IMAGES_AT_ONCE = 64
"""A rank's part of a batch is worked off in pieces whose patches fit a cache; gradients add up."""

POLL_S = 0.0005


class PatientCommunicator(NaiveCommunicator):  # type: ignore[misc]
    """ChainerMN's `naive` communicator, with one reduction for all gradients, and waiting asleep.

    MPI waits by asking over and over. On a share of a core that uses up the time that the next
    update needs: the rank that came first would be the last one next time.
    """

    waited_s = 0.0
    """In reductions: waiting for other ranks, and for what they send."""

    def multi_node_mean_grad(self, model: Any, zero_fill: bool = False) -> None:
        """Replace the gradients of `model` by their means over all ranks."""
        del zero_fill
        if self.size == 1:
            return
        parameters = [parameter for _, parameter in sorted(model.namedparams())]
        flat = np.concatenate([parameter.grad.ravel() for parameter in parameters])
        self.sum_up(flat)
        flat *= np.float32(1 / self.size)
        begin = 0
        for parameter in parameters:
            end = begin + parameter.grad.size
            parameter.grad[...] = flat[begin:end].reshape(parameter.grad.shape)
            begin = end

    def sum_up(self, values: npt.NDArray[Any]) -> None:
        """Replace an array by its sum over all ranks."""
        began = time.perf_counter()
        request = self.mpi_comm.Iallreduce(MPI.IN_PLACE, values)
        while not request.Test():
            time.sleep(POLL_S)
        self.waited_s += time.perf_counter() - began


class ChainerReplica:
    """The replica of replica.py, for ranks that MPI started."""

    def __init__(self, job: RankJob) -> None:
        self._communicator = PatientCommunicator(MPI.COMM_WORLD)
        if self._communicator.size != job.ranks:
            raise ValueError(f"MPI has {self._communicator.size} ranks, {job.ranks} were asked for")
        # Chainer draws initial weights from the global state.
        np.random.seed(job.seed)  # noqa: NPY002
        self._network = QuickLeNet5(job.image_shape, job.classes)
        self._optimizer = chainermn.create_multi_node_optimizer(
            chainer.optimizers.MomentumSGD(momentum=MOMENTUM), self._communicator
        )
        self._optimizer.setup(self._network)
        # A hook of Chainer's own optimizer: the one around it averages first, then calls it. Every
        # rank has the same mean then, and scales it by the same factor.
        self._optimizer.actual_optimizer.add_hook(GradientClipping(MOST_NORM))

    @property
    def rank(self) -> int:
        """Which one: 0 ... ranks - 1."""
        return int(self._communicator.rank)

    @property
    def ranks(self) -> int:
        """How many there are."""
        return int(self._communicator.size)

    @property
    def versions(self) -> dict[str, str]:
        """What does the work, by name."""
        return {
            "engine": "chainermn",
            "chainer": chainer.__version__,
            "mpi": " ".join(MPI.Get_library_version().splitlines()[0].split()),
        }

    @property
    def waited_s(self) -> float:
        """Time spent waiting for others."""
        return float(self._communicator.waited_s)

    def synchronise(self) -> None:
        """Give all ranks the weights of rank 0: ChainerMN's first update does that, and no more."""
        self._network.cleargrads()
        self._optimizer.update()

    def step(
        self, images: npt.NDArray[np.float32], labels: npt.NDArray[np.int32], step_size: float
    ) -> float:
        """One update by the mean gradient of all ranks; the mean loss of this rank's images."""
        self._network.cleargrads()
        total = 0.0
        for begin in range(0, len(labels), IMAGES_AT_ONCE):
            part = slice(begin, begin + IMAGES_AT_ONCE)
            share = len(labels[part]) / len(labels)
            scores = self._network(images[part])
            loss = functions.softmax_cross_entropy(scores, labels[part]) * share
            loss.backward()
            total += float(loss.array)
        self._optimizer.lr = step_size
        self._optimizer.update()
        return total

    def scores(self, images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Scores before softmax, float32[n, classes]."""
        with chainer.using_config("train", False), chainer.no_backprop_mode():
            parts = [
                self._network(images[begin : begin + IMAGES_AT_ONCE]).array
                for begin in range(0, len(images), IMAGES_AT_ONCE)
            ]
        return np.concatenate(parts)

    def total(self, values: Sequence[float]) -> list[float]:
        """Each value summed over all ranks."""
        sums = np.array(values, np.float64)
        self._communicator.sum_up(sums)
        return [float(value) for value in sums]

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Weights and momentum, named as in state.py."""
        found: dict[str, npt.NDArray[Any]] = {}
        for name, parameter in self._network.namedparams():
            plain = name.lstrip("/")
            found[state.WEIGHTS + plain] = parameter.array
            if parameter.update_rule.state is not None:
                found[state.MOMENTUM + plain] = parameter.update_rule.state["v"]
        return found

    def restore(self, arrays: Arrays) -> None:
        """Go on from such a state."""
        weights = {
            name.removeprefix(state.WEIGHTS): array
            for name, array in arrays.items()
            if name.startswith(state.WEIGHTS)
        }
        NpzDeserializer(weights).load(self._network)
        none_yet = np.array(0)
        velocities = {"t": none_yet, "epoch": none_yet}
        for name, array in arrays.items():
            if name.startswith(state.MOMENTUM):
                plain = name.removeprefix(state.MOMENTUM)
                velocities |= {f"{plain}/v": array, f"{plain}/t": none_yet}
        if len(velocities) > 2:
            NpzDeserializer(velocities).load(self._optimizer.actual_optimizer)


def blames_others(error: Exception) -> bool:
    """Whether an error says that another rank, or the way to it, is lost."""
    return isinstance(error, MPI.Exception)


def main() -> None:
    """Be the rank that the environment says."""
    import json
    from pathlib import Path

    from streambed.pipelines.training import mpi, rank

    job = RankJob.of_json(os.environ[VARIABLE])
    folders = [Path(folder) for folder in json.loads(os.environ[mpi.FOLDERS])]
    try:
        rank.work(job, ChainerReplica, folders, blames_others)
    except Exception:  # noqa: BLE001 (told to the driver, and seen by mpiexec)
        # Whoever would read it may be gone, and the pipe with it.
        with contextlib.suppress(OSError):
            traceback.print_exc()
            sys.stderr.flush()
        # To leave as usual is to wait for every rank; mpiexec ends the others of one that does not.
        os._exit(1)


if __name__ == "__main__":
    main()
