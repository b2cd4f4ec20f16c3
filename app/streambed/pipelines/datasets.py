"""Images and labels from `mnist`, IDX files, NumPy files or a directory of pictures.

Every loader gives uint8 images of one shape, in a stable order, so that an id names the same image
on every node: image index = id modulo the number of images.
"""

import csv
import io
import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streambed.pipelines.errors import SpecError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

MNIST = "mnist"
IDX_UINT8 = 0x08
PICTURES = {".png", ".jpg", ".jpeg"}
_GREY = ("1", "L", "LA", "I;16", "I")
ALLOWED = (
    "allowed: IDX files (*images-idx*, *labels-idx*), images.npy with labels.npy, one .npz with "
    "'images' and 'labels', or PNG/JPEG files with labels.csv (file,label) or in one "
    "sub-directory per label; uint8, all of one shape"
)


Raw = bytes | tuple[tuple[str, bytes], ...]
"""Images as they were read: pixels one after the other, or name and content of each picture."""


@dataclass(frozen=True)
class Dataset:
    """`images` uint8[n, ...]; `labels` int32[n]; `classes` names label i where there are names."""

    images: "npt.NDArray[np.uint8]"
    labels: "npt.NDArray[np.int32]"
    classes: tuple[str, ...] = ()

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of one image, e.g. (28, 28)."""
        return tuple(self.images.shape[1:])

    @property
    def image_bytes(self) -> int:
        """Size of one image in bytes: the payload of its record."""
        size = 1
        for length in self.image_shape:
            size *= length
        return size

    @property
    def raw_bytes(self) -> int:
        """Size of all images, as `raw` gives them."""
        return int(self.images.nbytes)

    def raw(self, chosen: "npt.NDArray[np.int_]") -> Raw:
        """The pixels of the images with these numbers."""
        return self.images[chosen].tobytes()

    def payloads(self) -> list[bytes]:
        """Each image as bytes, cut once, so that a producer copies nothing per record."""
        whole, size = self.images.tobytes(), self.image_bytes
        return [whole[i : i + size] for i in range(0, len(whole), size)]


@dataclass(frozen=True)
class Pictures:
    """PNG or JPEG files that nobody has decoded; the other fields as in `Dataset`."""

    paths: tuple[Path, ...]
    labels: "npt.NDArray[np.int32]"
    classes: tuple[str, ...] = ()

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of the first one, which all must have; by its header."""
        return shape_of(self.paths[0])

    @property
    def raw_bytes(self) -> int:
        """Size of all files; SpecError names one that is not there."""
        try:
            return sum(path.stat().st_size for path in self.paths)
        except OSError as error:
            raise SpecError(f"{error.filename}: {error.strerror}") from None

    def raw(self, chosen: "npt.NDArray[np.int_]") -> Raw:
        """Name and content of the files with these numbers; SpecError names a missing one."""
        return tuple((str(self.paths[i]), _content(self.paths[i])) for i in chosen)

    def decoded(self) -> Dataset:
        """The images."""
        named = ((str(path), _content(path)) for path in self.paths)
        return Dataset(decode(named, self.image_shape), self.labels, self.classes)


Undecoded = Dataset | Pictures


def mnist_directory() -> Path:
    """Where the four IDX files of MNIST lie on a node."""
    return Path(os.environ.get("STREAMBED_DATA", "/opt/streambed/data")) / "mnist"


def load(source: str, split: str = "test") -> Dataset:
    """The images of `source`, "mnist" or a directory; `split` is "train" or "test".

    Raises SpecError naming the file, its shape and what is allowed.
    """
    found = undecoded(source, split)
    return found.decoded() if isinstance(found, Pictures) else found


def undecoded(source: str, split: str = "test") -> Undecoded:
    """The same, but pictures as they lie there, for who decodes them elsewhere.

    Raises as `load`, but for what only decoding would show.
    """
    directory = mnist_directory() if source == MNIST else Path(source)
    if not directory.is_dir():
        raise SpecError(f"no such directory of images: {directory}; {ALLOWED}")
    dataset = _load_directory(directory, split)
    count = len(dataset.paths if isinstance(dataset, Pictures) else dataset.images)
    if count == 0:
        raise SpecError(f"{directory}: there are no images; {ALLOWED}")
    if count != len(dataset.labels):
        raise SpecError(f"{directory}: {count} images but {len(dataset.labels)} labels")
    return dataset


def _load_directory(directory: Path, split: str) -> Undecoded:
    if any(directory.glob("*images-idx*")):
        return _load_idx_pair(directory, split)
    if (directory / "images.npy").exists():
        return _load_npy_pair(directory)
    archives = sorted(directory.glob("*.npz"))
    if archives:
        return _load_npz(archives, split)
    if (directory / "labels.csv").exists() or any(p.is_dir() for p in directory.iterdir()):
        return _pictures(directory)
    raise SpecError(f"{directory}: no images found; {ALLOWED}")


def _choose(files: list[Path], split: str) -> Path:
    """The file of `split` where names tell, else the only one."""
    words = ("train",) if split == "train" else ("t10k", "test")
    matching = [f for f in files if any(word in f.name for word in words)]
    candidates = matching or files
    if len(candidates) != 1:
        names = ", ".join(f.name for f in files)
        raise SpecError(f"{files[0].parent}: which file is the {split} set? found {names}")
    return candidates[0]


def read_idx(path: Path) -> "npt.NDArray[np.uint8]":
    """An IDX file of unsigned bytes as uint8[...]; SpecError when it is not one, or cut short."""
    import numpy as np

    try:
        data = path.read_bytes()
    except OSError as error:
        raise SpecError(f"{path}: {error.strerror}") from None
    if len(data) < 4 or data[:2] != b"\0\0":
        raise SpecError(f"{path}: not an IDX file (unzip it if it is compressed)")
    if data[2] != IDX_UINT8:
        raise SpecError(f"{path}: IDX element type 0x{data[2]:02x}; allowed: 0x08 (uint8)")
    rank = data[3]
    head = 4 + 4 * rank
    if len(data) < head:
        raise SpecError(f"{path}: the IDX header is cut short")
    shape = struct.unpack(f">{rank}I", data[4:head])
    body = np.frombuffer(data, np.uint8, offset=head)
    expected = int(np.prod(shape, dtype=np.int64))
    if body.size != expected:
        raise SpecError(f"{path}: shape {shape} needs {expected} bytes, the file has {body.size}")
    return body.reshape(shape)


def _load_idx_pair(directory: Path, split: str) -> Dataset:
    images = read_idx(_choose(sorted(directory.glob("*images-idx*")), split))
    labels_files = sorted(directory.glob("*labels-idx*"))
    if not labels_files:
        raise SpecError(f"{directory}: no *labels-idx* file beside the images; {ALLOWED}")
    return Dataset(images, read_idx(_choose(labels_files, split)).astype("int32"))


def _load_npy_pair(directory: Path) -> Dataset:
    if not (directory / "labels.npy").exists():
        raise SpecError(f"{directory}: images.npy has no labels.npy beside it; {ALLOWED}")
    return _checked(
        directory / "images.npy",
        _read_numpy(directory / "images.npy"),
        _read_numpy(directory / "labels.npy"),
    )


def _load_npz(archives: list[Path], split: str) -> Dataset:
    path = _choose(archives, split)
    content: Any = _read_numpy(path)
    missing = {"images", "labels"} - set(getattr(content, "files", ()))
    if missing:
        raise SpecError(f"{path}: array {min(missing)!r} is missing; {ALLOWED}")
    return _checked(path, content["images"], content["labels"])


def _read_numpy(path: Path) -> "npt.NDArray[np.generic]":
    import numpy as np

    try:
        # Pickles would run code of whoever made the file.
        return np.load(path, allow_pickle=False)  # type: ignore[no-any-return]
    except (OSError, ValueError) as error:
        raise SpecError(f"{path}: not a NumPy file: {error}") from None


def _checked(
    path: Path, images: "npt.NDArray[np.generic]", labels: "npt.NDArray[np.generic]"
) -> Dataset:
    import numpy as np

    if images.dtype != np.uint8 or images.ndim < 2:
        raise SpecError(f"{path}: images are {images.dtype}{list(images.shape)}; {ALLOWED}")
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise SpecError(
            f"{path}: labels are {labels.dtype}{list(labels.shape)}; allowed: whole numbers [n]"
        )
    return Dataset(np.ascontiguousarray(images), labels.astype(np.int32))


def _pictures(directory: Path) -> Pictures:
    import numpy as np

    named = labels_from_csv(directory) if (directory / "labels.csv").exists() else None
    pairs = named if named is not None else labels_from_directories(directory)
    if not pairs:
        raise SpecError(f"{directory}: no PNG or JPEG files with labels; {ALLOWED}")
    names = sorted({label for _, label in pairs})
    numbered = all(name.isdigit() for name in names)
    values = {name: int(name) if numbered else i for i, name in enumerate(names)}
    labels = np.array([values[label] for _, label in pairs], np.int32)
    return Pictures(tuple(path for path, _ in pairs), labels, () if numbered else tuple(names))


def labels_from_csv(directory: Path) -> list[tuple[Path, str]]:
    """Picture and label from `labels.csv`, in its order; SpecError names a row it cannot read."""
    path = directory / "labels.csv"
    pairs = []
    with path.open(newline="") as lines:
        for row in csv.reader(lines):
            if len(row) != 2:
                raise SpecError(f"{path}: row {row!r}; allowed: file,label")
            if row == ["file", "label"]:
                continue
            pairs.append((directory / row[0], row[1].strip()))
    return pairs


def labels_from_directories(directory: Path) -> list[tuple[Path, str]]:
    """Picture and label from `LABEL/PICTURE`, sorted by both names."""
    return [
        (path, folder.name)
        for folder in sorted(p for p in directory.iterdir() if p.is_dir())
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in PICTURES
    ]


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SpecError(f"{path}: not a readable PNG or JPEG file: {error.strerror}") from None


def shape_of(path: Path) -> tuple[int, ...]:
    """What a picture decodes to, (height, width) or (height, width, 3); SpecError if it is none."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            plane = (picture.height, picture.width)
            return plane if picture.mode in _GREY else (*plane, 3)
    except (OSError, UnidentifiedImageError) as error:
        raise SpecError(f"{path}: not a readable PNG or JPEG file: {error}") from None


def decode(
    named: Iterable[tuple[str, bytes]], image_shape: tuple[int, ...]
) -> "npt.NDArray[np.uint8]":
    """Pictures, each by its name and content, as uint8[n, *image_shape].

    Raises SpecError naming the one that cannot be read, or has another shape.
    """
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    images: list[npt.NDArray[np.uint8]] = []
    for name, content in named:
        try:
            with Image.open(io.BytesIO(content)) as picture:
                grey = picture.mode in _GREY
                pixels = np.asarray(picture.convert("L" if grey else "RGB"))
        except (OSError, UnidentifiedImageError) as error:
            raise SpecError(f"{name}: not a readable PNG or JPEG file: {error}") from None
        if pixels.shape != image_shape:
            raise SpecError(
                f"{name}: shape {pixels.shape} where the first image has {image_shape}; "
                "all images must have one shape"
            )
        images.append(pixels)
    return np.stack(images) if images else np.empty((0, *image_shape), np.uint8)
