"""What a file or data set holds, so that a cell's identity is about content and not about paths."""

import functools
import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

from streambed.errors import StreambedError
from streambed.experiment.levels import Kind, Model, OrWord, PathTo, Value

MNIST_IMAGE_SHAPE = (28, 28)
MNIST_TRAINING_IMAGES = 60_000


@dataclass(frozen=True)
class ImageFacts:
    """One data set as a cell needs to know it."""

    image_shape: tuple[int, ...]
    digest: str
    """sha256 over shapes, images and labels; `mnist` for the pinned one."""

    @property
    def payload_bytes(self) -> int:
        """Size of one record's value."""
        return math.prod(self.image_shape)


@functools.cache
def image_facts(dataset: str) -> ImageFacts:
    """Payload and digest of `mnist` or of a directory.

    Raises:
        StreambedError: the directory holds no images that a producer could send.
    """
    if dataset == "mnist":
        return ImageFacts(MNIST_IMAGE_SHAPE, "mnist")
    # The node's own loader, so that what `plan` accepts is what the producer can read.
    from streambed.pipelines import datasets
    from streambed.pipelines.errors import SpecError

    try:
        loaded = datasets.load(dataset)
    except SpecError as error:
        raise StreambedError(str(error)) from error
    digest = hashlib.sha256(repr((loaded.images.shape, loaded.classes)).encode())
    digest.update(loaded.images.tobytes())
    digest.update(loaded.labels.tobytes())
    return ImageFacts(tuple(loaded.image_shape), digest.hexdigest())


@functools.cache
def training_images(dataset: str) -> int:
    """Images of the training set of `mnist` or of a directory.

    Raises:
        StreambedError: the directory holds none.
    """
    if dataset == "mnist":
        return MNIST_TRAINING_IMAGES
    from streambed.pipelines import datasets
    from streambed.pipelines.errors import SpecError

    try:
        return len(datasets.undecoded(dataset, "train").labels)
    except SpecError as error:
        raise StreambedError(str(error)) from error


@functools.cache
def _file_digest(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def canonical(field: str, kind: Kind, value: Value) -> Value:
    """The value as it enters a cell's identity: paths are replaced by what they hold."""
    if isinstance(kind, OrWord):
        return None if value is None else canonical(field, kind.kind, value)
    if isinstance(kind, Model) and isinstance(value, str) and value not in kind.built_in:
        file, _, name = value.rpartition(":")
        return f"sha256:{_file_digest(file)}:{name}"
    if isinstance(kind, PathTo) and isinstance(value, str) and value not in kind.built_in:
        if Path(value).is_dir():
            return f"images:{image_facts(value).digest}"
        return f"sha256:{_file_digest(value)}"
    return value
