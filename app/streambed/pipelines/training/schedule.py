"""The step size of stochastic gradient descent with momentum, over a training.

It rises from 0 during the first updates, since large batches make the first steps of a fresh
network diverge, then falls linearly to 0. The peak grows with the root of the batch size, so that
the noise of an update stays what it is (Krizhevsky, arXiv:1404.5997, section 5), from what trains
LeNet-5 with 100 images (pipelines/train.py).

That alone does not hold a fresh network with large batches: one steep gradient at a large step ends
in weights that nothing leads back from (top-1 0.11 with 768 images). So the mean gradient of all
ranks is scaled down to `MOST_NORM` where it is longer (Pascanu et al., arXiv:1211.5063).
"""

import math

MOMENTUM = 0.9
PEAK, PEAK_BATCH = 0.05, 100
WARM_UP = 0.05
"""Part of all updates in which it rises."""

MOST_NORM = 1.0
"""Euclidean length of the gradient of all weights together, at most, after it was averaged."""


def step_size(update: int, updates: int, batch_size: int) -> float:
    """Of update 0 ... `updates` - 1."""
    peak = PEAK * math.sqrt(batch_size / PEAK_BATCH)
    rising = max(1, round(WARM_UP * updates))
    if update < rising:
        return peak * (update + 1) / rising
    return peak * (updates - update) / max(1, updates - rising)
