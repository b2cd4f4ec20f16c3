"""What Streambed keeps on this machine beyond a bed's life: listed, and removed on request."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from streambed import console, paths
from streambed.beds import baked_image, base_image, locks, podman
from streambed.errors import StreambedError
from streambed.quantities import format_size


@dataclass(frozen=True)
class Cached:
    """One thing that is kept, and can be had again at the cost of time."""

    what: str
    where: str
    size_bytes: int
    remove: Callable[[], None]


def run(*, remove: bool) -> None:
    """List everything that is cached; with `remove`, remove it.

    Raises:
        StreambedError: something is in use; the rest is removed all the same.
    """
    found = listing()
    table = Table("what", "where", "size", title="cached on this machine", title_justify="left")
    for entry in found:
        table.add_row(entry.what, escape(entry.where), format_size(entry.size_bytes))
    console.out.print(table)
    total = format_size(sum(entry.size_bytes for entry in found))
    if not remove:
        console.out.print(f"{total}; `./streambed clean --yes` removes it")
        return
    kept = []
    for entry in found:
        try:
            entry.remove()
        except StreambedError as error:
            kept.append(f"{entry.what} {entry.where}: {error.message}")
    if kept:
        raise StreambedError(
            "not all could be removed\n" + "\n".join(kept), hint="./streambed down, then again"
        )
    console.out.print(f"removed, {total}")


def listing() -> list[Cached]:
    """Images in podman's store, then each directory of the cache."""
    return [*_images(), *_directories(paths.cache_dir())]


def _images() -> list[Cached]:
    if shutil.which("podman") is None:
        return []
    found = []
    # Nodes' images first: they stand on the base images.
    for repository in (baked_image.REPOSITORY, base_image.REPOSITORY):
        rows = podman.call_json("images", f"--filter=reference={repository}", "--format=json")
        sizes = {
            name: int(row["Size"])
            for row in rows
            for name in row.get("Names") or ()
            # The same image may have somebody else's name too.
            if name.startswith(f"{repository}:")
        }
        found += [Cached("image", name, sizes[name], _image_remover(name)) for name in sizes]
    return found


def _image_remover(name: str) -> Callable[[], None]:
    def remove() -> None:
        podman.call("rmi", name)

    return remove


def _directories(cache: Path) -> list[Cached]:
    return [
        Cached("directory", str(path), size_of(path), _directory_remover(path))
        for path in sorted(cache.iterdir())
        if path.is_dir() and path.name != "locks"
    ]


def _directory_remover(path: Path) -> Callable[[], None]:
    def remove() -> None:
        lock = paths.cache_dir() / "locks" / "bake.lock"
        lock.parent.mkdir(exist_ok=True)
        # A bake reads the artifacts for minutes.
        with locks.exclusive(lock, what="the cache", command="clean"):
            shutil.rmtree(path)

    return remove


def size_of(path: Path) -> int:
    """Bytes of all files below a directory; links count as themselves."""
    return sum(file.lstat().st_size for file in path.rglob("*") if not file.is_dir())
