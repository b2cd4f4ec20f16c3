"""Images from IDX and NumPy files; a bad file is an error that names it and what is allowed."""

import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from streambed.pipelines import datasets
from streambed.pipelines.errors import SpecError

IMAGES = np.arange(5 * 4 * 3, dtype=np.uint8).reshape(5, 4, 3)
LABELS = np.array([0, 1, 2, 1, 0], np.uint8)


def write_idx(path: Path, array: npt.NDArray[np.uint8], kind: int = 8) -> None:
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, kind, array.ndim, *array.shape)
    path.write_bytes(head + array.tobytes())


def test_idx_files_of_the_asked_split(tmp_path: Path) -> None:
    write_idx(tmp_path / "t10k-images-idx3-ubyte", IMAGES)
    write_idx(tmp_path / "t10k-labels-idx1-ubyte", LABELS)
    write_idx(tmp_path / "train-images-idx3-ubyte", IMAGES[:2])
    write_idx(tmp_path / "train-labels-idx1-ubyte", LABELS[:2])
    assert len(datasets.load(str(tmp_path)).images) == 5
    assert len(datasets.load(str(tmp_path), "train").images) == 2


def test_payloads_are_the_pixels_of_each_image(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", IMAGES)
    np.save(tmp_path / "labels.npy", LABELS)
    dataset = datasets.load(str(tmp_path))
    assert (dataset.image_shape, dataset.image_bytes) == ((4, 3), 12)
    assert dataset.payloads() == [image.tobytes() for image in IMAGES]
    assert dataset.labels.dtype == np.int32


def test_one_npz_file(tmp_path: Path) -> None:
    np.savez(tmp_path / "anything.npz", images=IMAGES, labels=LABELS)
    np.testing.assert_array_equal(datasets.load(str(tmp_path)).images, IMAGES)


def test_labels_of_pictures_from_a_table_or_from_folders(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("file,label\na.png,cat\nb.png,dog\n")
    assert datasets.labels_from_csv(tmp_path) == [
        (tmp_path / "a.png", "cat"),
        (tmp_path / "b.png", "dog"),
    ]
    for name in ("7/x.png", "7/notes.txt", "3/y.JPG"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert datasets.labels_from_directories(tmp_path) == [
        (tmp_path / "3/y.JPG", "3"),
        (tmp_path / "7/x.png", "7"),
    ]


def bad_kind(folder: Path) -> None:
    write_idx(folder / "t10k-images-idx3-ubyte", IMAGES, kind=0x0D)


def cut_short(folder: Path) -> None:
    write_idx(folder / "t10k-images-idx3-ubyte", IMAGES)
    path = folder / "t10k-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-1])


def no_labels(folder: Path) -> None:
    write_idx(folder / "t10k-images-idx3-ubyte", IMAGES)


def zipped(folder: Path) -> None:
    (folder / "t10k-images-idx3-ubyte.gz").write_bytes(b"\x1f\x8b\x08\0")


def floats(folder: Path) -> None:
    np.save(folder / "images.npy", IMAGES.astype(np.float32))
    np.save(folder / "labels.npy", LABELS)


def fewer_labels(folder: Path) -> None:
    np.save(folder / "images.npy", IMAGES)
    np.save(folder / "labels.npy", LABELS[:3])


def pickled(folder: Path) -> None:
    np.save(folder / "images.npy", np.array([{"a": 1}], object), allow_pickle=True)
    np.save(folder / "labels.npy", LABELS)


def table_row(folder: Path) -> None:
    (folder / "labels.csv").write_text("a.png\n")


def nothing(folder: Path) -> None:
    (folder / "readme.txt").touch()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (bad_kind, ["t10k-images-idx3-ubyte", "0x0d", "uint8"]),
        (cut_short, ["t10k-images-idx3-ubyte", "(5, 4, 3)", "59"]),
        (no_labels, ["labels-idx", "allowed"]),
        (zipped, ["t10k-images-idx3-ubyte.gz", "unzip"]),
        (floats, ["images.npy", "float32[5, 4, 3]", "uint8"]),
        (fewer_labels, ["5 images", "3 labels"]),
        (pickled, ["images.npy", "not a NumPy file"]),
        (table_row, ["labels.csv", "a.png", "file,label"]),
        (nothing, ["no images found", "allowed"]),
    ],
)
def test_bad_files_are_named(tmp_path: Path, make: object, words: list[str]) -> None:
    assert callable(make)
    make(tmp_path)
    with pytest.raises(SpecError) as caught:
        datasets.load(str(tmp_path))
    for word in [str(tmp_path), *words]:
        assert word in str(caught.value)


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="nowhere"):
        datasets.load(str(tmp_path / "nowhere"))
