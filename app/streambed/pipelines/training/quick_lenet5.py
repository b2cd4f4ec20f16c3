"""LeNet-5 of models.py, computed with fewer copies: the same function of the same weights.

Chainer's convolution and pooling turn every patch of every image round in memory before and after
each product. Here activations are (channels, images, height, width) from the first layer to the
last one that has an area: a convolution is one product of matrices with what im2col writes, and
pooling compares four strided views. Pooling comes before ReLU, which changes nothing but the work.
"""

from typing import Any

import chainer
import numpy as np
import numpy.typing as npt
from chainer import functions

from streambed.pipelines import models

Array = npt.NDArray[np.float32]


class Convolve(chainer.Function):  # type: ignore[misc]
    """x float32[c, n, h, w], kernel float32[o, c, k, k], bias float32[o] -> float32[o, n, ...]."""

    def __init__(self, pad: int, *, gradient_of_x: bool) -> None:
        self._pad = pad
        self._gradient_of_x = gradient_of_x
        self._columns: Any = None

    def forward(self, inputs: tuple[Array, ...]) -> tuple[Array]:
        """Chainer's forward."""
        x, kernel, bias = inputs
        out, channels, size, _ = kernel.shape
        pad = self._pad
        padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad))) if pad else x
        high, wide = (side - size + 1 for side in padded.shape[2:])
        columns = np.empty((channels, size, size, x.shape[1], high, wide), np.float32)
        for row in range(size):
            for column in range(size):
                patch = padded[:, :, row : row + high, column : column + wide]
                columns[:, row, column] = patch
        self._columns = columns.reshape(channels * size * size, -1)
        y = kernel.reshape(out, -1) @ self._columns
        y += bias[:, None]
        return (y.reshape(out, x.shape[1], high, wide),)

    def backward(
        self, inputs: tuple[Array, ...], grad_outputs: tuple[Array]
    ) -> tuple[Array | None, Array, Array]:
        """Chainer's backward."""
        x, kernel, _ = inputs
        (gy,) = grad_outputs
        out, channels, size, _ = kernel.shape
        flat = gy.reshape(out, -1)
        of_kernel = (flat @ self._columns.T).reshape(kernel.shape)
        of_bias = flat.sum(axis=1)
        self._columns = None
        if not self._gradient_of_x:
            return None, of_kernel, of_bias
        high, wide = gy.shape[2:]
        columns = kernel.reshape(out, -1).T @ flat
        columns = columns.reshape(channels, size, size, x.shape[1], high, wide)
        pad = self._pad
        of_x = np.zeros((*x.shape[:2], x.shape[2] + 2 * pad, x.shape[3] + 2 * pad), np.float32)
        for row in range(size):
            for column in range(size):
                of_x[:, :, row : row + high, column : column + wide] += columns[:, row, column]
        inner = slice(pad, -pad) if pad else slice(None)
        return of_x[:, :, inner, inner], of_kernel, of_bias


class PoolAndRectify(chainer.Function):  # type: ignore[misc]
    """ReLU of the greatest of each 2 x 2 pixels; height and width must be even."""

    def forward(self, inputs: tuple[Array]) -> tuple[Array]:
        """Chainer's forward."""
        (x,) = inputs
        highest = np.maximum(x[..., ::2, ::2], x[..., ::2, 1::2])
        np.maximum(highest, x[..., 1::2, ::2], out=highest)
        np.maximum(highest, x[..., 1::2, 1::2], out=highest)
        self._highest = np.maximum(highest, 0, out=highest)
        return (highest,)

    def backward(self, inputs: tuple[Array], grad_outputs: tuple[Array]) -> tuple[Array]:
        """Chainer's backward; of equal pixels each gets the gradient."""
        (x,), (gy,) = inputs, grad_outputs
        passed = gy * (self._highest > 0)
        of_x = np.empty_like(x)
        for row in (0, 1):
            for column in (0, 1):
                view = x[..., row::2, column::2]
                of_x[..., row::2, column::2] = passed * (view == self._highest)
        return (of_x,)


class QuickLeNet5(models.LeNet5):
    """The same layers and weights; images whose sides cannot be halved twice go the usual way."""

    def __init__(self, image_shape: tuple[int, ...], classes: int) -> None:
        super().__init__(image_shape, classes)
        self._grey = len(image_shape) == 2
        self._even = all(side % 2 == 0 and (side // 2 - 4) % 2 == 0 for side in image_shape[:2])

    def forward(self, x: Array) -> Any:
        """Scores float32[n, classes] for x float32[n, height, width(, channels)]."""
        if not self._even:
            return super().forward(x)
        planes = x[None] if self._grey else np.ascontiguousarray(x.transpose(3, 0, 1, 2))
        hidden = Convolve(2, gradient_of_x=False)(planes, self.conv1.W, self.conv1.b)
        hidden = PoolAndRectify()(hidden)
        hidden = Convolve(0, gradient_of_x=True)(hidden, self.conv2.W, self.conv2.b)
        hidden = PoolAndRectify()(hidden)
        hidden = functions.transpose(hidden, (1, 0, 2, 3)).reshape(len(x), -1)
        hidden = functions.relu(self.fc3(hidden))
        return self.fc5(functions.relu(self.fc4(hidden)))
