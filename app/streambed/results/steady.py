"""The steady part of a stage that works through a given number of images as fast as it can.

One or several workers say after each batch how many images they are done with. The steady part
starts when `warm_up_images` are done, at the end of that batch, and it ends when the first worker
has none left: from then on not all cores work. The rate is the images of the batches that ended
inside over its length; a batch under way at either edge is one of many.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from streambed.errors import StreambedError
from streambed.experiment.length import MEASURED_TRIGGERS


@dataclass(frozen=True)
class Progress:
    """A worker is done with `images` more at `at_s` (unix seconds)."""

    at_s: float
    images: int
    worker: int = 0


class NoSteadyPart(StreambedError):
    """Fewer than 8 batches lie in the steady part; the cell fails with this reason."""


@dataclass(frozen=True)
class Steady:
    """Times are unix seconds."""

    start_s: float
    end_s: float
    images: int
    """Of the batches that ended inside."""
    batches: int

    @property
    def span_s(self) -> float:
        """Length in seconds."""
        return self.end_s - self.start_s

    @property
    def image_rate_per_s(self) -> float:
        """Images per second."""
        return self.images / self.span_s


def find_steady(progress: Iterable[Progress], warm_up_images: int) -> Steady:
    """The steady part.

    Raises:
        NoSteadyPart: it would hold fewer than 8 batches.
    """
    steps = sorted(progress, key=lambda step: step.at_s)
    done = np.cumsum([step.images for step in steps])
    warm = int(np.searchsorted(done, warm_up_images))
    last = {step.worker: step.at_s for step in steps}
    end_s = min(last.values(), default=0.0)
    inside = [step for step in steps[warm + 1 :] if step.at_s <= end_s]
    if len(inside) < MEASURED_TRIGGERS:
        raise NoSteadyPart(
            f"{len(inside)} batches ended after the first {warm_up_images} images and before a "
            f"worker ran out; {MEASURED_TRIGGERS} are needed: give a larger `image_count`"
        )
    images = sum(step.images for step in inside)
    return Steady(steps[warm].at_s, end_s, images, len(inside))


def images_done(progress: Iterable[Progress], at_s: float) -> float:
    """Images done until a moment, each batch's spread evenly over the time since the one before."""
    steps = sorted(progress, key=lambda step: step.at_s)
    times = [step.at_s for step in steps]
    return float(np.interp(at_s, times, np.cumsum([step.images for step in steps])))
