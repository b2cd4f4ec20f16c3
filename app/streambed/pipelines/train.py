"""`train`: train a shipped network on a data set, the same weights for the same seed."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streambed.pipelines import datasets, model_files, threads
from streambed.pipelines.protocol import Commands, emit
from streambed.pipelines.spec import parse

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

EPOCHS = {"mlp": 3, "lenet5": 3}


@dataclass(frozen=True)
class TrainSpec:
    """`epochs` null takes what the network needs on MNIST; `threads` is part of the result."""

    model: str
    out: str
    dataset: str = datasets.MNIST
    seed: int = 1
    epochs: int | None = None
    threads: int = 1
    batch: int = 100

    def __post_init__(self) -> None:
        if self.model not in model_files.SHIPPED:
            raise ValueError(f"model {self.model!r}; allowed: {', '.join(model_files.SHIPPED)}")
        if self.threads < 1 or self.batch < 1 or (self.epochs is not None and self.epochs < 1):
            raise ValueError("epochs, threads and batch must be >= 1")


def program(raw: dict[str, Any], commands: Commands) -> None:
    """Run `train`: events progress per epoch and each 2 s, then done."""
    del commands
    spec = parse(TrainSpec, raw)
    threads.limit(spec.threads)
    training = datasets.load(spec.dataset, "train")
    test = datasets.load(spec.dataset, "test")
    data = train(spec, training)
    accuracy = _accuracy(spec.model, data, test)
    path = Path(spec.out)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    from streambed.pipelines import weights

    emit("done", at=time.time(), accuracy=accuracy, sha256=weights.digest(data), out=spec.out)


def train(spec: TrainSpec, training: datasets.Dataset) -> bytes:
    """The trained weights file; stochastic gradient descent with momentum, falling step."""
    import chainer
    import numpy as np
    from chainer import functions

    from streambed.pipelines import models, weights

    # Chainer draws initial weights from the global state.
    np.random.seed(spec.seed)  # noqa: NPY002
    order = np.random.RandomState(spec.seed)
    classes = int(training.labels.max()) + 1
    network = models.build(spec.model, training.image_shape, classes)
    epochs = spec.epochs or EPOCHS[spec.model]
    optimizer = chainer.optimizers.MomentumSGD(lr=0.1 if spec.model == "mlp" else 0.05)
    optimizer.setup(network)
    top_step = optimizer.lr
    steps = epochs * -(-len(training.images) // spec.batch)
    step, next_word = 0, time.monotonic()
    for epoch in range(epochs):
        shuffled = order.permutation(len(training.images))
        for begin in range(0, len(shuffled), spec.batch):
            chosen = shuffled[begin : begin + spec.batch]
            x = training.images[chosen].astype(np.float32) * models.PIXEL_SCALE
            loss = functions.softmax_cross_entropy(network(x), training.labels[chosen])
            network.cleargrads()
            loss.backward()
            optimizer.lr = top_step * (1 - step / steps)
            optimizer.update()
            step += 1
            if time.monotonic() >= next_word:
                next_word = time.monotonic() + 2
                emit(
                    "progress",
                    at=time.time(),
                    epoch=epoch,
                    epochs=epochs,
                    fraction=step / steps,
                    loss=float(loss.array),
                )
    arrays = {name.lstrip("/"): param.array for name, param in network.namedparams()}
    return weights.pack(arrays, weights.Description(spec.model, training.image_shape, classes))


def _accuracy(kind: str, data: bytes, test: datasets.Dataset) -> float:
    files = model_files.ModelFiles("", kind, test.image_shape, data)
    labels: npt.NDArray[np.int32] = model_files.build(files).predict(test.images)
    return float((labels == test.labels).mean())
