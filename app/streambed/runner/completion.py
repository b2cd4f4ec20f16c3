"""When a phase of a cell is over: known from counts, or from a program that ended."""

import asyncio

from streambed.runner.failure import CellFailure
from streambed.runner.program import Event, Program

_FETCH_GRACE_S = 10.0


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


async def until_complete(
    collect: Program, classify: Program, images: int, patience_s: float
) -> None:
    """Until every id has a result, or Spark has read every image and one is still missing.

    Args:
        collect: the collector.
        classify: the classifier.
        images: all that were sent since it started, those that do not count included.
        patience_s: how long this may take.

    Raises:
        CellFailure: a program ended before, or the time is over.
    """
    complete = asyncio.create_task(collect.until("complete", timeout_s=patience_s))
    read = asyncio.create_task(until_read(classify, images, patience_s))
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
