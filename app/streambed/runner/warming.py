"""Images that warm a pipeline before a cell, and never count."""

import functools
from collections.abc import Callable, Sequence

from streambed.experiment.cells import Cell
from streambed.experiment.estimate import classifier_images_per_s
from streambed.experiment.length import arrival_images_per_s
from streambed.gates import accounting
from streambed.runner import completion
from streambed.runner.failure import CellFailure
from streambed.runner.program import Event, Program

FIRST_ID = 1 << 62
"""Their ids lie far above those that count."""

REHEARSALS = 3
"""At most so many, one after the other, while micro-batches take longer than the trigger."""

_LAST_BATCHES = 3
_PATIENCE_S = 120.0
_PATIENCE = 4.0
# Results of a micro-batch that is over are appended: the collector has yet to fetch them.
_FETCH_S = 20.0
_FINISH_S = 60.0

MakeProducer = Callable[[int, int, float, float | None], Program]
"""(first id, images, deadline in seconds, images per second or None for all at once)."""


def on_time(batches: Sequence[Event], trigger_s: float) -> bool:
    """Did the last full micro-batches end within their trigger?

    The very last one holds what was left, and says nothing; with fewer than two there is nothing
    to judge.
    """
    full = [event for event in batches if event["rows"]][:-1][-_LAST_BATCHES:]
    return all(event["execution_s"] <= trigger_s for event in full)


class WarmingUp:
    """A few images to load everything, then rehearsals: at half the cell's pace, then at its own.

    Only batches of the cell's own size and pace bring all code that they use to its speed, and
    code that is still slow is best brought there without a backlog. A system that takes the whole
    backlog would start the cell with one, so it rehearses again while it does not keep up.
    """

    def __init__(self, cell: Cell, make_producer: MakeProducer) -> None:
        config = cell.streaming
        rate = arrival_images_per_s(config, cell.payload_bytes, cell.producer_cpus)
        # No faster than can be classified, or the rehearsal would end in a backlog.
        most = classifier_images_per_s(cell)
        self._pace = min(rate or most, most)
        self._prime = cell.warm_up.prime_images
        self._rehearse_s = cell.warm_up.rehearse_s
        self._rehearsals = REHEARSALS if config.batching == "backlog" else 1
        self._trigger_s = config.trigger_s
        self._make_producer = make_producer
        self.images = 0
        """Sent so far."""

    @property
    def most_images(self) -> int:
        """What it sends at most."""
        return self._prime + self._rehearsed(0.5) + self._rehearsals * self._rehearsed(1)

    def _rehearsed(self, share: float) -> int:
        """Images of a rehearsal at this share of the cell's pace."""
        return round(self._rehearse_s * self._pace * share)

    async def run(self, collect: Program, classify: Program) -> float | None:
        """Warm up.

        Returns:
            when the first result came (unix seconds); None when nothing was sent.

        Raises:
            CellFailure: a program ended, or results did not come.
        """
        if self._prime:
            await self._send(self._prime, None)
            await self._classified(collect, classify)
        if self._rehearsed(1):
            await self._send(self._rehearsed(0.5), 0.5 * self._pace)
            for _ in range(self._rehearsals):
                before = len(classify.events)
                await self._send(self._rehearsed(1), self._pace)
                await self._classified(collect, classify)
                batches = [e for e in classify.events[before:] if e.get("event") == "batch"]
                if on_time(batches, self._trigger_s):
                    break
        newest = collect.last("progress")
        return float(newest["first_result_at"]) if newest and self.images else None

    async def _send(self, images: int, rate_per_s: float | None) -> None:
        patience_s = self._patience_s(images)
        producer = self._make_producer(FIRST_ID + self.images, images, patience_s, rate_per_s)
        async with producer as sending:
            await sending.until("done", timeout_s=patience_s)
        self.images += images

    async def _classified(self, collect: Program, classify: Program) -> None:
        """Until everything that was sent is classified, and its last micro-batch over."""
        await completion.until_read(classify, self.images, self._patience_s(self.images))
        try:
            await collect.until_true(
                functools.partial(completion.warmed_up, collect, self.images),
                what=f"results of {self.images} warm-up images",
                timeout_s=_FETCH_S,
            )
        except CellFailure as failure:
            collect.command("finish")
            aside = (await collect.until("done", timeout_s=_FINISH_S))["set_aside"]
            if not aside:
                raise
            raise CellFailure(
                f"images of the warm-up were set aside: {accounting.why(aside)}"
            ) from failure

    def _patience_s(self, images: int) -> float:
        return _PATIENCE_S + _PATIENCE * images / self._pace
