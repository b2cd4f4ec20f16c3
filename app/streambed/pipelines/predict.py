"""`predict`: the model alone, one process per core, on images that are in memory already."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from streambed.pipelines import answers, datasets, model_files, parallel
from streambed.pipelines.protocol import Commands, emit
from streambed.pipelines.spec import parse
from streambed.pipelines.worker import ShapedModel


@dataclass(frozen=True)
class PredictSpec:
    """`count` images in all, `batch_images` at a time, checked against `reference`."""

    model: model_files.ModelSpec
    count: int
    reference: str
    dataset: str = datasets.MNIST
    processes: int = 2
    batch_images: int = 2000

    def __post_init__(self) -> None:
        for name in ("count", "processes", "batch_images"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, not {getattr(self, name)}")


def ids_of(index: int, processes: int, count: int, batch: int) -> Iterator[npt.NDArray[np.uint64]]:
    """The ids of each batch of one process: of 0 ... count - 1, batches take turns."""
    for begin in range(index * batch, count, processes * batch):
        yield np.arange(begin, min(begin + batch, count), dtype=np.uint64)


def prepare(spec: PredictSpec, index: int, processes: int) -> parallel.Work:
    """One process of program `predict`."""
    dataset = datasets.load(spec.dataset)
    shape = dataset.image_shape
    model = ShapedModel(model_files.build(model_files.read(spec.model, shape)), shape)
    right_answers = answers.load(spec.dataset, spec.reference)
    # One batch more than there are, so that each batch is a slice, as a consumer would hold it.
    images = dataset.images.reshape(len(dataset.images), -1)
    cycled = np.resize(images, (len(images) + spec.batch_images, images.shape[1]))

    def work(report: parallel.Report) -> dict[str, Any]:
        correct = mismatches = done = 0
        for ids in ids_of(index, processes, spec.count, spec.batch_images):
            begin = int(ids[0]) % len(images)
            labels = model.predict(cycled[begin : begin + len(ids)])
            right, wrong = right_answers.check(ids, np.asarray(labels))
            correct, mismatches, done = correct + right, mismatches + wrong, done + len(ids)
            report(len(ids))
        return {"images": done, "correct": correct, "mismatches": mismatches}

    return work


def program(raw: dict[str, Any], commands: Commands) -> None:
    """Run `predict`: events ready, sample ..., done."""
    del commands
    spec = parse(PredictSpec, raw)
    parts = parallel.run(prepare, spec, spec.processes)
    totals = {name: sum(part[name] for part in parts) for name in parts[0]}
    emit("done", at=time.time(), **totals)
