"""`reference`: what the model says offline about every image of a data set, and how surely."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streambed.pipelines import datasets, model_files, threads
from streambed.pipelines.protocol import Commands, emit
from streambed.pipelines.spec import parse

BATCH_IMAGES = 500


@dataclass(frozen=True)
class ReferenceSpec:
    """`out` becomes an npz with labels int32[n] and margin float32[n]."""

    model: model_files.ModelSpec
    out: str
    dataset: str = datasets.MNIST
    threads: int = 1


def program(raw: dict[str, Any], commands: Commands) -> None:
    """Run `reference`; ends with event `done`.

    Margin is the best score minus the second best: under the collector's limit, rounding may decide
    which label wins. A model without scores gets an infinite margin.
    """
    del commands
    spec = parse(ReferenceSpec, raw)
    threads.limit(spec.threads)
    import numpy as np

    dataset = datasets.load(spec.dataset)
    files = model_files.read(spec.model, dataset.image_shape)
    model: Any = model_files.build(files)
    labels = np.empty(len(dataset.images), np.int32)
    margin = np.full(len(dataset.images), np.inf, np.float32)
    for begin in range(0, len(labels), BATCH_IMAGES):
        part = slice(begin, begin + BATCH_IMAGES)
        if hasattr(model, "scores"):
            scores = np.asarray(model.scores(dataset.images[part]))
            labels[part] = scores.argmax(axis=1)
            best = np.partition(scores, -2, axis=1)
            margin[part] = best[:, -1] - best[:, -2]
        else:
            labels[part] = model.predict(dataset.images[part])
    path = Path(spec.out)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as out:
        np.savez(out, labels=labels, margin=margin)
    emit(
        "done",
        at=time.time(),
        accuracy=float((labels == dataset.labels).mean()),
        images=len(labels),
        image_shape=list(dataset.image_shape),
        payload_bytes=dataset.image_bytes,
        ambiguous=int((margin < 1e-3).sum()),
        model_key=files.key,
        out=spec.out,
    )
