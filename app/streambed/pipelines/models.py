"""The networks Streambed ships, in Chainer; imported only where a model is trained or called.

Input is uint8 pixels. Networks are trained on pixels / 255; for inference that factor is folded
into the first layer's weights, which saves a pass over every image and changes no label.
"""

import math
from typing import Any

import chainer
import numpy as np
import numpy.typing as npt
from chainer import functions, links

from streambed.pipelines.errors import SpecError

PIXEL_SCALE = np.float32(1 / 255)


class Mlp(chainer.Chain):  # type: ignore[misc]
    """in-1000-1000-classes with ReLU: Chainer's own MNIST example, as in study A."""

    def __init__(self, image_shape: tuple[int, ...], classes: int, units: int = 1000) -> None:
        super().__init__()
        with self.init_scope():
            self.l1 = links.Linear(math.prod(image_shape), units)
            self.l2 = links.Linear(units, units)
            self.l3 = links.Linear(units, classes)

    @property
    def first_layer(self) -> Any:
        """The layer that sees the pixels."""
        return self.l1

    def forward(self, x: npt.NDArray[np.float32]) -> Any:
        """Scores float32[n, classes] for x float32[n, ...]."""
        hidden = functions.relu(self.l1(x.reshape(len(x), -1)))
        return self.l3(functions.relu(self.l2(hidden)))


class LeNet5(chainer.Chain):  # type: ignore[misc]
    """LeNet-5 with ReLU and max pooling; any height and width from 12 on, grey or coloured."""

    def __init__(self, image_shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        if len(image_shape) not in (2, 3) or min(image_shape[:2]) < 12:
            raise SpecError(
                f"lenet5 cannot take images of shape {image_shape}; allowed: (height, width) or "
                "(height, width, channels) with height and width from 12 on"
            )
        height, width = image_shape[:2]
        self._channels = image_shape[2] if len(image_shape) == 3 else 1
        pooled = [math.ceil((math.ceil(side / 2) - 4) / 2) for side in (height, width)]
        with self.init_scope():
            self.conv1 = links.Convolution2D(self._channels, 6, 5, pad=2)
            self.conv2 = links.Convolution2D(6, 16, 5)
            self.fc3 = links.Linear(16 * math.prod(pooled), 120)
            self.fc4 = links.Linear(120, 84)
            self.fc5 = links.Linear(84, classes)

    @property
    def first_layer(self) -> Any:
        """The layer that sees the pixels."""
        return self.conv1

    def forward(self, x: npt.NDArray[np.float32]) -> Any:
        """Scores float32[n, classes] for x float32[n, height, width(, channels)]."""
        planes = x[:, None] if self._channels == 1 and x.ndim == 3 else x.transpose(0, 3, 1, 2)
        hidden = functions.max_pooling_2d(functions.relu(self.conv1(planes)), 2)
        hidden = functions.max_pooling_2d(functions.relu(self.conv2(hidden)), 2)
        hidden = functions.relu(self.fc4(functions.relu(self.fc3(hidden))))
        return self.fc5(hidden)


KINDS: dict[str, Any] = {"mlp": Mlp, "lenet5": LeNet5}


def build(kind: str, image_shape: tuple[int, ...], classes: int) -> Any:
    """A freshly initialised network, drawing from NumPy's global random state."""
    return KINDS[kind](image_shape, classes)


class ChainerModel:
    """A trained network behind the protocol predict(uint8[n, ...]) -> int32[n]."""

    batch_images = 1000
    """Images per call of the network: enough for BLAS, small enough for the cache."""

    def __init__(self, network: Any, image_shape: tuple[int, ...]) -> None:
        self.image_shape = image_shape
        self._network = network
        network.first_layer.W.array *= PIXEL_SCALE

    def scores(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Scores before softmax, float32[n, classes], for images uint8[n, ...]."""
        x = images.reshape(len(images), *self.image_shape).astype(np.float32)
        with chainer.using_config("train", False), chainer.no_backprop_mode():
            return self._network(x).array  # type: ignore[no-any-return]

    def predict(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.int32]:
        """Labels int32[n] for images uint8[n, ...]."""
        labels = np.empty(len(images), np.int32)
        for begin in range(0, len(images), self.batch_images):
            part = slice(begin, begin + self.batch_images)
            labels[part] = self.scores(images[part]).argmax(axis=1)
        return labels
