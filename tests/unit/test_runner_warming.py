"""When a rehearsal is good enough for the cell to begin."""

import asyncio
from typing import Any, cast

import pytest

from streambed.experiment import cells, load
from streambed.runner.failure import CellFailure
from streambed.runner.program import Event, Program
from streambed.runner.warming import WarmingUp, on_time


def batches(*entries: tuple[int, float]) -> list[dict[str, float]]:
    """(rows, execution_s) of each."""
    return [{"rows": rows, "execution_s": took} for rows, took in entries]


@pytest.mark.parametrize(
    ("entries", "good"),
    [
        ([(900, 1.4), (1000, 0.9), (1000, 0.8), (1000, 0.8), (300, 0.3)], True),
        ([(900, 0.9), (1000, 0.9), (1300, 1.2), (1500, 1.1), (300, 0.3)], False),
        # What is left over at the end, and empty triggers, say nothing.
        ([(1000, 0.8), (1000, 0.8), (1000, 0.8), (0, 0.1), (300, 2.0)], True),
        ([(1000, 2.0)], True),
        ([], True),
    ],
)
def test_the_last_full_batches_must_end_within_their_trigger(
    entries: list[tuple[int, float]], good: bool
) -> None:
    assert on_time(batches(*entries), 1.0) is good


class Told:
    """A program that says at once what it will ever say."""

    def __init__(self, *events: Event) -> None:
        self.events = list(events)
        self.commands: list[str] = []

    def last(self, kind: str) -> Event | None:
        return next((e for e in reversed(self.events) if e["event"] == kind), None)

    def command(self, command: str) -> None:
        self.commands.append(command)

    async def until_true(self, condition: Any, *, what: str, timeout_s: float) -> Event:
        found: Event | None = condition()
        if found is None:
            raise CellFailure(f"did not say {what} within {timeout_s:g} s")
        return found

    async def until(self, kind: str, *, timeout_s: float) -> Event:
        return await self.until_true(lambda: self.last(kind), what=kind, timeout_s=timeout_s)

    @property
    def program(self) -> Program:
        return cast(Program, self)


@pytest.mark.parametrize(
    ("aside", "said"),
    [
        ({"the model failed: RuntimeError('x')": 2000}, "set aside: the model failed: Runtime"),
        ({}, "results of 2000 warm-up images within"),
    ],
)
def test_a_warm_up_without_results_tells_why(aside: dict[str, int], said: str) -> None:
    collect = Told(
        {"event": "progress", "warm_up": 0}, {"event": "done", "set_aside": aside, "lost": 0}
    )
    classify = Told({"event": "batch", "rows": 2000})
    warming_up = WarmingUp(cells(load("small"))[0], lambda *_: pytest.fail("sends"))
    warming_up.images = 2000
    with pytest.raises(CellFailure, match=said):
        asyncio.run(warming_up._classified(collect.program, classify.program))
    assert collect.commands == ["finish"]
