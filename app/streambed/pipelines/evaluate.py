"""`evaluate`: how good a shipped network is on a data set's test images, by its weights alone."""

import time
from dataclasses import dataclass
from typing import Any

from streambed.pipelines import datasets, model_files, threads
from streambed.pipelines.errors import SpecError
from streambed.pipelines.protocol import Commands, emit
from streambed.pipelines.spec import parse

BATCH_IMAGES = 500


@dataclass(frozen=True)
class EvaluateSpec:
    """`model` is a shipped one: others need not tell scores."""

    model: model_files.ModelSpec
    dataset: str = datasets.MNIST
    threads: int = 1


def program(raw: dict[str, Any], commands: Commands) -> None:
    """Run `evaluate`; ends with event `done`: top1, top5 and the mean loss."""
    del commands
    spec = parse(EvaluateSpec, raw)
    if spec.model.kind not in model_files.SHIPPED:
        raise SpecError(f"model {spec.model.kind!r}; allowed: {', '.join(model_files.SHIPPED)}")
    threads.limit(spec.threads)
    import numpy as np

    from streambed.pipelines.training.rank import judged

    dataset = datasets.load(spec.dataset, "test")
    model: Any = model_files.build(model_files.read(spec.model, dataset.image_shape))
    sums = np.zeros(3)
    for begin in range(0, len(dataset.images), BATCH_IMAGES):
        part = slice(begin, begin + BATCH_IMAGES)
        sums += judged(np.asarray(model.scores(dataset.images[part])), dataset.labels[part])
    loss, first, among = (float(value) / len(dataset.images) for value in sums)
    emit("done", at=time.time(), images=len(dataset.images), loss=loss, top1=first, top5=among)
