"""The search for the sustainable rate on a bed: one Spark application, one probe after another.

A link or a classifier that its host stops now and then sustains less than it could. A rate that
was not sustained while others had the processors is tried again, as a link is measured again.
"""

import asyncio
import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from streambed.gates import contention
from streambed.gates.reading import Reading
from streambed.results import search
from streambed.results.samples import Batches
from streambed.runner.completion import until_read
from streambed.runner.display import Display
from streambed.runner.failure import CellFailure
from streambed.runner.program import Event, Program
from streambed.runner.rates import Ceiling
from streambed.runner.remote import Session

PATIENCE_S = 240.0
"""For a backlog that a probe left to be classified, and for a producer that is told to stop."""

SPARE = 1.5
"""A probe's producer gets more images than it can need: told to stop, it must be there to hear."""

TRIES = 3
"""At most so many probes of one rate; the last one counts, whatever it says."""

Produce = Callable[[int, int, float, float], Program]
"""first id, count, deadline (s), rate (images/s) → a producer."""


@dataclass(frozen=True)
class Found:
    """The sustainable rate, images/s, found in so many steps."""

    rate_per_s: float
    ceiling: Ceiling
    at_ceiling: bool
    steps: int
    images: int
    """Sent by all probes together."""


@dataclass(frozen=True)
class Host:
    """Where the nodes run, and how much of its CPU time others may take of it: a fraction."""

    nodes: Sequence[Session]
    contended_above: float


class RateSearch:
    """Probes rates until the sustainable one is known; `probes` holds the evidence.

    Each probe's images are classified before the next begins. `readings` flags the cell when
    the lowest rate that was not sustained may have failed because of others.
    """

    def __init__(
        self,
        produce: Produce,
        classify: Program,
        trigger_s: float,
        display: Display,
        host: Host,
    ) -> None:
        self._produce = produce
        self._classify = classify
        self._trigger_s = trigger_s
        self._display = display
        self._host = host
        self.probes: list[search.Probe] = []
        self.readings: list[Reading] = []

    async def run(self, first_id: int, read_before: int, ceiling: Ceiling) -> Found:
        """Search.

        Args:
            first_id: ids from here on are free for the probes' images.
            read_before: images that were sent, and read by the classifier, until now.
            ceiling: no rate above it is tried.

        Raises:
            CellFailure: no rate was sustained, or a program failed.
        """
        start_per_s = min(ceiling.rate_per_s, _service_rate(self._classify.events))
        bracket = search.Bracket(start_per_s, ceiling.rate_per_s)
        sent = tries = 0
        while (rate := bracket.next_rate()) is not None:
            self._display.stage(f"searching the sustainable rate: {rate:,.0f} images/s")
            async with contention.watching(self._host.nodes) as watched:
                probe, more = await self._probe(first_id + sent, rate)
            sent += more
            await until_read(self._classify, read_before + sent, PATIENCE_S)
            self.probes.append(probe)
            tries += 1
            others = judge_others(probe, watched.taken, self._host.contended_above)
            if not others.ok and tries < TRIES:
                continue
            if not probe.sustained:
                self.readings = [] if others.ok else [others]
            tries = 0
            bracket = bracket.after(probe)
        if not bracket.low_per_s:
            tried = min(probe.rate_per_s for probe in self.probes)
            raise CellFailure(f"no rate was sustained: lag grew even at {tried:.0f} images/s")
        return Found(bracket.low_per_s, ceiling, bracket.at_ceiling, len(self.probes), sent)

    async def _probe(self, first_id: int, rate_per_s: float) -> tuple[search.Probe, int]:
        """Offer a rate until its lag is judged; returns the verdict and the images sent."""
        longest_s = search.longest_s(self._trigger_s)
        count = math.ceil(rate_per_s * longest_s * SPARE)
        producer = self._produce(first_id, count, SPARE * longest_s + PATIENCE_S, rate_per_s)
        async with producer:
            started_at = (await producer.until("started", timeout_s=PATIENCE_S))["at"]
            judged = functools.partial(self._judge, started_at, rate_per_s)
            verdict = asyncio.create_task(
                self._classify.until_true(
                    functools.partial(judged, over=False),
                    what=f"a verdict on {rate_per_s:.0f} images/s",
                    timeout_s=longest_s + PATIENCE_S,
                )
            )
            await asyncio.wait([verdict], timeout=longest_s)
            found = verdict.result() if verdict.done() else judged(over=True)
            verdict.cancel()
            await asyncio.gather(verdict, return_exceptions=True)
            producer.command("stop")
            done = await producer.until("done", timeout_s=PATIENCE_S)
            await producer.end(timeout_s=PATIENCE_S)
        assert found is not None
        return found["probe"], int(done["sent"])

    def _judge(self, started_at: float, rate_per_s: float, *, over: bool) -> Event | None:
        batches = Batches.of_events(
            event
            for event in self._classify.events
            if event.get("event") == "batch" and event["started_at"] >= started_at
        )
        probe = search.judge(batches, started_at, rate_per_s, self._trigger_s, over=over)
        return None if probe is None else {"probe": probe}


def judge_others(probe: search.Probe, taken: contention.Taken, contended_above: float) -> Reading:
    """Whether a rate may have failed because of others: its reading then flags the cell.

    Of a rate that was sustained nothing is to be explained.
    """
    reading = contention.judge(taken, contended_above, "cpu_taken_by_others_searching")
    return replace(reading, ok=True) if probe.sustained else reading


def _service_rate(events: list[Event]) -> float:
    """Images per second of processing time in the largest micro-batch so far."""
    largest = max(
        (event for event in events if event.get("event") == "batch"),
        key=lambda event: event["rows"],
    )
    return float(largest["rows"] / largest["execution_s"])
