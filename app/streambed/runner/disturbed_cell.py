"""A streaming cell with a fault in its middle: what dies is left to itself, or started by the run.

Services, executors and Python workers come back on their own. Driver and producer are programs of
the run, so the run is what starts them again: the driver from its checkpoint, the producer from the
last image that can be without an acknowledgement.
"""

import asyncio
import contextlib
import time

from streambed.experiment import fault
from streambed.gates import contention
from streambed.runner import completion
from streambed.runner.failure import CellFailure
from streambed.runner.faults import Situation, inject
from streambed.runner.producing import sender_config
from streambed.runner.program import Event, Program
from streambed.runner.streaming_cell import START_TIMEOUT_S, STOP_TIMEOUT_S, StreamingCell

_UNACKNOWLEDGED = 2
"""Times the images that fit the producer's queue: so many are sent again, at most."""


class DisturbedCell(StreamingCell):
    """The steps of one cell with a fault."""

    def _sampling(self) -> contextlib.AbstractAsyncContextManager[None]:
        # A sampler on a node that goes away would fail the cell.
        return contextlib.nullcontext()

    async def _measured_phase(
        self, collect: Program, classify: Program, stack: contextlib.AsyncExitStack
    ) -> Program:
        """Send and classify what counts, with the fault; returns the classifier that ended it."""
        kind = self._config.fault
        assert kind is not None
        count, rate = self.observed.images, self.observed.rate_per_s
        await self._read_clocks()
        processors, began = await self._processors(kind), time.monotonic()
        self._display.stage("classifying")
        async with contextlib.AsyncExitStack() as own:
            first = self._producer(0, count, self._patience_s, rate)
            produce = await own.enter_async_context(first)
            await produce.until("started", timeout_s=START_TIMEOUT_S)
            await self._quiet_for(fault.AFTER_S, produce, classify, collect)
            self._display.stage(f"fault: {fault.FAULTS[kind].what}")
            there = Situation(self._fleet, self._place, self._config.bandwidth_mbit_per_s)
            self.observed.fault = await inject(kind, there)
            self._display.stage("recovering")
            if kind == "producer_kill":
                produce = await own.enter_async_context(await self._producer_again(produce, count))
            elif kind == "driver_kill":
                await classify.ended()
                classify = await stack.enter_async_context(self._classifier())
                await classify.until("ready", timeout_s=START_TIMEOUT_S)
            done = asyncio.create_task(produce.until("done", timeout_s=self._patience_s))
            last = await completion.unless_ended(done, classify, collect)
            await produce.end(timeout_s=STOP_TIMEOUT_S)
        self.observed.produced = _together(first, last, count)
        await completion.until_settled(collect)
        if processors:
            elapsed_s = time.monotonic() - began
            after = await self._processors(kind)
            self.observed.taken = contention.taken(processors, after, elapsed_s)
        await self._read_clocks()
        return classify

    async def _processors(self, kind: str) -> tuple[contention.CpuTimes, ...]:
        """Their counters, by connections of now; none where a node's begin anew on the way."""
        return () if kind == "node_stop" else await contention.read(self._fleet.all())

    async def _quiet_for(self, wait_s: float, *programs: Program) -> None:
        """Wait so many seconds, but not on when a program ends before they are over."""
        watchers = [asyncio.create_task(program.ended()) for program in programs]
        try:
            done, _ = await asyncio.wait(
                watchers, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED
            )
            if done:
                raise CellFailure(f"before its fault: {done.pop().result()}")
        finally:
            for watcher in watchers:
                watcher.cancel()
            await asyncio.gather(*watchers, return_exceptions=True)

    async def _producer_again(self, killed: Program, count: int) -> Program:
        """A producer that goes on where the killed one was, with some images twice."""
        await killed.ended()
        progress = killed.last("progress")
        acked = 0 if progress is None else int(progress["acked"])
        queued = sender_config(self._config)["queue_bytes"] // self._cell.payload_bytes
        again = max(0, acked - _UNACKNOWLEDGED * queued)
        return self._producer(again, count - again, self._patience_s, self.observed.rate_per_s)


def _together(first: Program, last: Event, count: int) -> Event:
    """The `done` event as if one producer had sent every image once."""
    started = first.last("started")
    assert started is not None  # waited for before the fault
    whole = first.last("done") is not None
    return {
        **last,
        "sent": count,
        "acked": count - last["sent"] + last["acked"],
        "first_send_at": last["first_send_at"] if whole else started["at"],
    }
