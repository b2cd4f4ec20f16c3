"""The chunks of pipeline `batch`: how a data set is cut, and what a task does with those it gets.

A chunk carries its part of the data set (all parts together are the whole of it, each image once)
and is asked for a number of images: it classifies its own over and over. Of chunk work `timed` it
carries nothing and is served for a set time instead: the thread sleeps, so that only Spark's
scheduling shows.
"""

import itertools
import os
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from streambed.pipelines import model_files
from streambed.pipelines.way import CHUNK_IMAGES
from streambed.pipelines.worker import ShapedModel

if TYPE_CHECKING:
    from streambed.pipelines.answers import Answers

MODEL, TIMED = "model", "timed"
WORKS = (MODEL, TIMED)

Pair = tuple[str, "Chunk"]
Report = dict[str, Any]


@dataclass(frozen=True)
class Chunk:
    """One chunk as it lies in the RDD: `pixels` are its images of the data set, `first` on."""

    index: int
    first: int
    pixels: bytes
    """Empty where it is served for a time."""
    images: int
    """To be classified; 0 where it is served for a time."""
    service_s: float | None = None


def whole(parts: Sequence[float], mean: int) -> list[int]:
    """Parts (of mean 1) of `mean` images each, as whole numbers with the same sum."""
    ends = [round(end * mean) for end in np.cumsum([0.0, *parts])]
    return [int(late - early) for early, late in itertools.pairwise(ends)]


def cut(
    images: npt.NDArray[np.uint8], parts: Sequence[float], mean_images: int, service_s: float | None
) -> list[Chunk]:
    """A data set uint8[n, ...] as chunks.

    Args:
        images: at least one for each chunk.
        parts: size of each chunk over the mean, see `assignment.relative_sizes`.
        mean_images: to be classified in a chunk of the mean size.
        service_s: of such a chunk, when it is served for a time instead.
    """
    bounds = [len(images) * index // len(parts) for index in range(len(parts) + 1)]
    if service_s is not None:
        return [Chunk(i, bounds[i], b"", 0, service_s * part) for i, part in enumerate(parts)]
    return [
        Chunk(index, first, images[first:end].tobytes(), wanted)
        for index, (first, end, wanted) in enumerate(
            zip(bounds[:-1], bounds[1:], whole(parts, mean_images), strict=True)
        )
    ]


def members(group: list[Pair]) -> list[Pair]:
    """What `flatMap` makes of a slice of the input that is one list."""
    return group


def classified(
    model: ShapedModel, chunk: Chunk, dataset_images: int, answers: "Answers"
) -> tuple[int, int]:
    """Classify a chunk; returns how many labels are right, and how many are not the model's own.

    Raises ValueError when the chunk's images are not of the model's shape.
    """
    own = np.frombuffer(chunk.pixels, np.uint8).reshape(-1, model.image_bytes)
    correct = mismatches = 0
    for begin in range(0, chunk.images, CHUNK_IMAGES):
        index = np.arange(begin, min(begin + CHUNK_IMAGES, chunk.images)) % len(own)
        labels = np.asarray(model.predict(own[index]))
        ids = ((chunk.first + index) % dataset_images).astype(np.uint64)
        right, wrong = answers.check(ids, labels)
        correct, mismatches = correct + right, mismatches + wrong
    return correct, mismatches


class Evaluate:
    """The function given to `mapPartitions`: works through the chunks of a partition, in order.

    `files` is a Spark broadcast of the model's files, `answers` one of `answers.Answers`.
    """

    def __init__(
        self, key: str, image_shape: tuple[int, ...], dataset_images: int, files: Any, answers: Any
    ) -> None:
        self._key = key
        self._image_shape = image_shape
        self._dataset_images = dataset_images
        self._files = files
        self._answers = answers

    def __call__(self, pairs: Iterable[Pair]) -> Iterator[Report]:
        from pyspark import TaskContext

        task: Any = TaskContext.get()
        for _, chunk in pairs:
            yield self.report(
                chunk,
                partition=task.partitionId(),
                task=task.taskAttemptId(),
                attempt=task.attemptNumber(),
            )

    def model(self) -> ShapedModel:
        """What classifies, built once per process."""
        built = model_files.cached(self._key, lambda: self._files.value)
        return ShapedModel(built, self._image_shape)

    def report(self, chunk: Chunk, **task: int) -> Report:
        """Do a chunk, and tell when and where that was; times in unix seconds."""
        start_s = time.time()
        correct, mismatches = 0, 0
        if chunk.service_s is not None:
            time.sleep(chunk.service_s)
        else:
            answers = self._answers.value
            correct, mismatches = classified(self.model(), chunk, self._dataset_images, answers)
        return {
            "chunk": chunk.index,
            **task,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "start_s": start_s,
            "end_s": time.time(),
            "images": chunk.images,
            "correct": correct,
            "mismatches": mismatches,
        }


class WarmUp:
    """What each thread of the application does first: all of them at once, so that none is cold.

    The barrier keeps a Python worker from taking the work of two threads. Spark ends those that had
    nothing to do for a minute (PythonWorkerFactory.IDLE_WORKER_TIMEOUT_NS), so that a job of long
    chunks leaves cold ones behind.
    """

    def __init__(self, evaluate: Evaluate, images: npt.NDArray[np.uint8]) -> None:
        self._evaluate = evaluate
        self._images = images

    def __call__(self, numbers: Iterable[int]) -> Iterator[str]:
        from pyspark import BarrierTaskContext

        BarrierTaskContext.get().barrier()
        for _ in numbers:
            model = self._evaluate.model()
            if len(self._images):
                model.predict(self._images.reshape(len(self._images), -1))
            yield socket.gethostname()
