"""Live progress of a run: what happens now, how far, and how long still."""

import time
from types import TracebackType
from typing import Self

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

from streambed.console import err
from streambed.quantities import format_duration


class Display:
    """One bar for the run and one line for the cell; on a pipe, a line per cell instead."""

    def __init__(self, cells: int, estimated_s: float) -> None:
        self._estimated_s = estimated_s
        self._cells = cells
        self._finished = 0
        self._finished_estimate_s = 0.0
        self._started = time.monotonic()
        self._cell = ""
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
            console=err,
            transient=True,
            disable=not err.is_terminal,
        )
        self._run = self._progress.add_task("cells", total=cells, left="")
        self._images = self._progress.add_task("", total=None, left="", visible=False)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def remaining_s(self) -> float:
        """What the plan says is left, scaled by how the finished cells compared with it."""
        left = self._estimated_s - self._finished_estimate_s
        if self._finished_estimate_s <= 0:
            return left
        return left * (time.monotonic() - self._started) / self._finished_estimate_s

    def cell(self, name: str) -> None:
        """A cell begins."""
        self._cell = name
        number = f"{self._finished + 1}/{self._cells}"
        left = format_duration(self.remaining_s())
        err.print(f"[step]cell {number}[/step] {escape(name)}  (about {left} left)")
        self._progress.update(self._run, left=f"about {left} left")

    def stage(self, name: str) -> None:
        """A step within the cell begins."""
        if not err.is_terminal:
            err.print(f"    {name}")
        self._progress.update(
            self._images, description=name, total=None, completed=0, left="", visible=True
        )

    def images(self, done: int, total: int) -> None:
        """Results seen of the images of this cell."""
        self._progress.update(self._images, completed=done, total=total)

    def outcome(self, text: str, estimate_s: float, *, again: bool = False) -> None:
        """An attempt is over; `estimate_s` is what the plan had said it takes.

        With `again` the cell is not: it is repeated, and takes that time once more.
        """
        self._finished_estimate_s += estimate_s
        if again:
            self._estimated_s += estimate_s
        else:
            self._finished += 1
        self._progress.update(self._images, visible=False)
        self._progress.update(self._run, completed=self._finished)
        err.print(f"    {text}")
