"""Ranks of a training without Spark: images to learn, a job, a network in NumPy, who hears it."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from streambed.pipelines.datasets import Dataset
from streambed.pipelines.training import rank
from streambed.pipelines.training.channel import Ears, Message
from streambed.pipelines.training.job import RankJob
from streambed.pipelines.training.state import Arrays

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


def blames_others(error: Exception) -> bool:
    """Of `Linear`."""
    return isinstance(error, ConnectionError)


@contextlib.contextmanager
def listening() -> Iterator[Ears]:
    """Ears at a free port of this machine."""
    found = Ears("127.0.0.1", 0)
    found.port = found._listener.address[1]
    try:
        yield found
    finally:
        found.close()


def at(ears: Ears, **more: Any) -> RankJob:
    """A job whose ranks are heard there."""
    return job(driver_port=ears.port, key=ears.key.hex(), **more)


def heard(ears: Ears, last: str = "done") -> list[Message]:
    """What a rank told, up to its message of kind `last`."""
    found: list[Message] = []
    while not found or found[-1].kind != last:
        message = ears.hear(60)
        assert message is not None, f"after {[m.kind for m in found]}"
        found.append(message)
    return found


def work(job_of_it: RankJob, replica: type[Linear], folders: Sequence[Any]) -> None:
    """A rank from start to end."""
    rank.work(job_of_it, replica, folders, blames_others)
