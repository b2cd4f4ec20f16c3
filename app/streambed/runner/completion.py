"""When a phase of a cell is over: known from counts, or from a program that ended."""

import asyncio
import functools
import time

from streambed.runner.failure import CellFailure
from streambed.runner.program import Event, Program

_FETCH_GRACE_S = 10.0
# Without a new result; one call of the model for the backlog of a whole cell takes minutes.
_STALLED_S = 240.0
_LONGEST_S = 86_400.0
# After a fault: a broker that restarts on a third of a core, and what waited for it.
_SETTLED_S = 90.0
_LOOK_EVERY_S = 0.5


def warmed_up(collect: Program, count: int) -> Event | None:
    """The collector's newest count, once it has seen `count` warm-up images."""
    newest = collect.last("progress")
    return newest if newest is not None and newest["warm_up"] >= count else None


def images_read(events: list[Event]) -> int:
    """Images in the micro-batches that ended so far."""
    return sum(event["rows"] for event in events if event.get("event") == "batch")


async def until_read(classify: Program, images: int, timeout_s: float) -> None:
    """Until Spark has read, and so classified, this many images since it started.

    Raises:
        CellFailure: it ended before, or the time is over.
    """

    def all_read() -> Event | None:
        read = images_read(classify.events)
        return {"read": read} if read >= images else None

    await classify.until_true(all_read, what=f"{images} images read", timeout_s=timeout_s)


async def until_complete(collect: Program, classify: Program, images: int) -> None:
    """Until every id has a result, or Spark has read every image and one is still missing.

    It may take as long as new results come: how fast a classifier is, the cell is to find out.

    Args:
        collect: the collector.
        classify: the classifier.
        images: all that were sent since it started, those that do not count included.

    Raises:
        CellFailure: a program ended before, or nothing new came for a long time.
    """
    complete = asyncio.create_task(_all_results(collect))
    read = asyncio.create_task(until_read(classify, images, _LONGEST_S))
    try:
        await asyncio.wait([complete, read], return_when=asyncio.FIRST_COMPLETED)
        if not complete.done():
            read.result()
            # All results are appended by now: what the collector has yet to fetch is seconds.
            await asyncio.wait([complete], timeout=_FETCH_GRACE_S)
        if complete.done():
            complete.result()
    finally:
        for task in (complete, read):
            task.cancel()
        await asyncio.gather(complete, read, return_exceptions=True)


async def until_settled(collect: Program) -> None:
    """Until every id has a result, or nothing new has come for a long time: some are lost then.

    Raises:
        CellFailure: the collector ended before.
    """
    seen, deadline = -1, time.monotonic() + _SETTLED_S
    while collect.last("complete") is None and time.monotonic() < deadline:
        newest = await collect.until_true(
            lambda: collect.last("complete") or collect.last("progress"),
            what="more results",
            timeout_s=_SETTLED_S,
        )
        if newest["unique"] > seen:
            seen, deadline = newest["unique"], time.monotonic() + _SETTLED_S
        await asyncio.sleep(_LOOK_EVERY_S)


async def _all_results(collect: Program) -> None:
    seen = -1
    while collect.last("complete") is None:
        newer = functools.partial(_newer, collect, seen)
        event = await collect.until_true(newer, what="more results", timeout_s=_STALLED_S)
        seen = event["unique"]


def _newer(collect: Program, seen: int) -> Event | None:
    """The event that all is complete, or the newest count when it is above `seen`."""
    newest = collect.last("progress")
    if newest is not None and newest["unique"] <= seen:
        newest = None
    return collect.last("complete") or newest


async def unless_ended(waiting: "asyncio.Task[Event]", *others: Program) -> Event:
    """Wait for `waiting`, but not on when one of the other programs ends before it.

    Raises:
        CellFailure: one of them ended, or `waiting` failed.
    """
    watchers = [asyncio.create_task(program.ended(), name=program.name) for program in others]
    try:
        await asyncio.wait([waiting, *watchers], return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            return waiting.result()
        for watcher in watchers:
            if watcher.done():
                raise CellFailure(watcher.result())
        raise AssertionError("asyncio.wait returned with nothing done")
    finally:
        for task in (waiting, *watchers):
            task.cancel()
        await asyncio.gather(waiting, *watchers, return_exceptions=True)
