"""The data source of a training: a part of the images for each rank, as files on the rank's node.

A shard is a directory of NumPy files that any engine can map into memory: `train-V.npy` float32[n,
...] for each variant V of the images, `train-labels.npy` int32[n], `test.npy` and
`test-labels.npy`. Pixels are normalised to 0 ... 1. Shards lie in the working directory of the
executor that wrote them, which Spark's worker removes after the application.
"""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from streambed.pipelines import datasets
from streambed.pipelines.errors import ServiceError
from streambed.pipelines.training.names import SHIFT

if TYPE_CHECKING:
    from streambed.pipelines.datasets import Raw, Undecoded

FOLDER = "streambed-shards"
MOST_SHIFT = 2
"""Pixels by which a variant of an image is moved at most, in each direction."""

CHUNK_IMAGES = 2048
"""Images in memory at a time while they are prepared."""

Pixels = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int32]


class NoShard(ServiceError):
    """There are no images for a rank where it looks for them."""


@dataclass(frozen=True)
class RawPart:
    """One rank's images as they were read: bytes to be decoded on a worker. Picklable."""

    index: int
    image_shape: tuple[int, ...]
    train: "Raw"
    train_labels: bytes
    test: "Raw"
    test_labels: bytes


@dataclass(frozen=True)
class Shard:
    """One rank's images, mapped into memory.

    `variants`: float32[n, ...] each, of the same images; an epoch takes them in turn.
    """

    index: int
    variants: tuple[Pixels, ...]
    labels: Labels
    test: Pixels
    test_labels: Labels


def split(training: "Undecoded", test: "Undecoded", parts: int, seed: int) -> list[RawPart]:
    """Both sets in `parts` of equal size, shuffled: a rank sees all classes in any order.

    Where the training set cannot be divided, parts are filled up with images that they have.
    """
    order = np.random.RandomState(seed).permutation(len(training.labels))
    size = -(-len(order) // parts)
    found = []
    for index in range(parts):
        chosen = np.resize(order[index::parts], size)
        judging = np.arange(index, len(test.labels), parts)
        found.append(
            RawPart(
                index=index,
                image_shape=training.image_shape,
                train=training.raw(chosen),
                train_labels=training.labels[chosen].astype(np.int32).tobytes(),
                test=test.raw(judging),
                test_labels=test.labels[judging].astype(np.int32).tobytes(),
            )
        )
    return found


def write(root: Path, part: RawPart, augment: str, seed: int) -> dict[str, Any]:
    """Decode, normalise and augment a part into the shard `root/INDEX`; what was written."""
    folder = root / str(part.index)
    folder.mkdir(parents=True)
    images = decoded(part.train, part.image_shape)
    _write_images(folder / "train-0.npy", images, None)
    if augment == SHIFT:
        random = np.random.RandomState((seed, part.index))
        moves = random.randint(-MOST_SHIFT, MOST_SHIFT + 1, (len(images), 2))
        _write_images(folder / "train-1.npy", images, moves)
    test = decoded(part.test, part.image_shape)
    _write_images(folder / "test.npy", test, None)
    np.save(folder / "train-labels.npy", np.frombuffer(part.train_labels, np.int32))
    np.save(folder / "test-labels.npy", np.frombuffer(part.test_labels, np.int32))
    size = sum(path.stat().st_size for path in folder.iterdir())
    return {
        "shard": part.index,
        "images": len(images),
        "test_images": len(test),
        "variants": len(list(folder.glob("train-[0-9].npy"))),
        "bytes": size,
    }


def decoded(raw: "Raw", image_shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """The pixels uint8[n, *image_shape] of what was read.

    Raises:
        SpecError: a picture cannot be read, or has another shape.
    """
    if isinstance(raw, bytes):
        return np.frombuffer(raw, np.uint8).reshape(-1, *image_shape)
    return datasets.decode(raw, image_shape)


def _write_images(
    path: Path, images: npt.NDArray[np.uint8], moves: npt.NDArray[np.int_] | None
) -> None:
    out = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=images.shape)
    for begin in range(0, len(images), CHUNK_IMAGES):
        part = slice(begin, begin + CHUNK_IMAGES)
        chunk = images[part] if moves is None else moved(images[part], moves[part])
        np.multiply(chunk, np.float32(1 / 255), out=out[part], dtype=np.float32)
    out.flush()


def moved(images: npt.NDArray[np.uint8], moves: npt.NDArray[np.int_]) -> npt.NDArray[np.uint8]:
    """Each image uint8[n, h, w(, c)] moved by its own (rows, columns); what comes in is 0."""
    high, wide = images.shape[1:3]
    border = MOST_SHIFT
    around = [(0, 0), (border, border), (border, border), *[(0, 0)] * (images.ndim - 3)]
    padded = np.pad(images, around)
    out = np.empty_like(images)
    for down, right in np.unique(moves, axis=0):
        chosen = (moves == (down, right)).all(axis=1)
        top, left = border - down, border - right
        out[chosen] = padded[chosen, top : top + high, left : left + wide]
    return out


def folder_of(name: str) -> Path:
    """Where the shards of `name` lie, from an executor's working directory."""
    return Path(FOLDER) / name


def remove_all(keep: str | None = None) -> None:
    """Remove this executor's shards, but those of the name `keep`."""
    for path in Path(FOLDER).glob("*"):
        if path.name != keep:
            shutil.rmtree(path, ignore_errors=True)


def nth(folder: Path, index: int) -> Path:
    """One of the shards in `folder`, by its place among them.

    Raises:
        NoShard: there are fewer.
    """
    found = sorted(path for path in folder.glob("*") if path.is_dir())
    if index >= len(found):
        raise NoShard(f"{folder.resolve()} has {len(found)} shards, not {index + 1}")
    return found[index]


def claim(folders: Sequence[Path], token: str) -> Path:
    """A shard in one of `folders` that no other rank has taken under this token.

    Raises:
        NoShard: the executor is not the one that wrote them.
    """
    for folder in folders:
        for shard in sorted(path for path in folder.glob("*") if path.is_dir()):
            try:
                (shard / f"claimed-{token}").open("x").close()
            except FileExistsError:
                continue
            return shard
    names = ", ".join(str(folder.resolve()) for folder in folders)
    raise NoShard(f"no shard is left for this rank in {names}")


def load(folder: Path) -> Shard:
    """Map a shard into memory."""
    variants = tuple(
        np.load(path, mmap_mode="r") for path in sorted(folder.glob("train-[0-9].npy"))
    )
    return Shard(
        index=int(folder.name),
        variants=variants,
        labels=np.load(folder / "train-labels.npy"),
        test=np.load(folder / "test.npy", mmap_mode="r"),
        test_labels=np.load(folder / "test-labels.npy"),
    )


def batches(order: npt.NDArray[np.int_], size: int) -> Iterator[npt.NDArray[np.int_]]:
    """An epoch's images in batches of `size`; the last has what is left."""
    for begin in range(0, len(order), size):
        # Sorted: what is read of a file that is mapped into memory is read in its order.
        yield np.sort(order[begin : begin + size])
