"""Progress of parallel fetches: bars on a terminal, lines in a pipe."""

import contextlib
import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from streambed import console

_LINE_INTERVAL_S = 15.0


class Reporter(Protocol):
    """What is told about the components under way."""

    def update(self, name: str, done_bytes: int) -> None:
        """`done_bytes` of the component are on disk."""

    def finish(self, name: str) -> None:
        """The component is in the cache."""


def reporting(sizes_bytes: dict[str, int]) -> AbstractContextManager[Reporter]:
    """A reporter for components of these sizes, fit for what standard error is."""
    if console.err.is_terminal and not console.err.is_dumb_terminal:
        return _bars(sizes_bytes)
    return _lines(sizes_bytes)


def bytes_below(directory: Path) -> int:
    """Size of all files in a directory that other processes are writing to."""
    total = 0
    # os.walk, unlike Path.rglob, passes over directories that vanish under it.
    for folder, _, names in os.walk(directory):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += Path(folder, name).stat().st_size
    return total


class _Bars:
    def __init__(self, progress: Progress, sizes_bytes: dict[str, int]) -> None:
        self._progress = progress
        self._sizes = sizes_bytes
        self._tasks = {
            name: progress.add_task(name, total=size) for name, size in sizes_bytes.items()
        }

    def update(self, name: str, done_bytes: int) -> None:
        self._progress.update(self._tasks[name], completed=min(done_bytes, self._sizes[name]))

    def finish(self, name: str) -> None:
        self._progress.update(self._tasks[name], completed=self._sizes[name])


@contextmanager
def _bars(sizes_bytes: dict[str, int]) -> Iterator[Reporter]:
    columns = (
        TextColumn("    {task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console.err) as progress:
        yield _Bars(progress, sizes_bytes)


class _Lines:
    def __init__(self, sizes_bytes: dict[str, int]) -> None:
        self._sizes = sizes_bytes
        self._started = time.monotonic()
        self._told = dict.fromkeys(sizes_bytes, self._started)

    def update(self, name: str, done_bytes: int) -> None:
        now = time.monotonic()
        if now - self._told[name] >= _LINE_INTERVAL_S:
            self._told[name] = now
            done = min(done_bytes, self._sizes[name]) / 1e6
            console.say(f"{name}: {done:.0f} of {self._sizes[name] / 1e6:.0f} MB")

    def finish(self, name: str) -> None:
        console.say(f"{name}: fetched and verified, {time.monotonic() - self._started:.0f} s")


@contextmanager
def _lines(sizes_bytes: dict[str, int]) -> Iterator[Reporter]:
    for name, size in sizes_bytes.items():
        console.say(f"{name}: {size / 1e6:.0f} MB")
    yield _Lines(sizes_bytes)
