"""Topics of a cell on the bed's brokers, made for it and removed after it."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

from streambed.experiment.placement import Placement
from streambed.runner.program import Program
from streambed.runner.remote import Session

PREFIX = "streambed-"
IMAGE_TOPIC_CONFIG = {"segment.bytes": 2_000_000_000}
"""A broker holds a file open for each segment: the 16 of 256 MiB that half an hour fills would look
like a leak of files. No more than a number of 31 bits can tell, and no shorter cell fills one."""

RESULT_TOPIC_CONFIG = {"message.timestamp.type": "LogAppendTime"}
"""The append time of a result is the broker's own clock, not the sink's."""

_MOST_REPLICAS = 3
_TIMEOUT_S = 120.0


def image_topic(name: str, partitions: int, placement: Placement) -> dict[str, Any]:
    """The topic that a cell's images go to, as program `topics` makes it."""
    return {
        "name": f"{PREFIX}images-{name}",
        "partitions": partitions,
        "replication": _replicas(placement),
        "config": IMAGE_TOPIC_CONFIG,
    }


def result_topic(name: str, placement: Placement) -> dict[str, Any]:
    """The topic that a cell's results go to, as program `topics` makes it."""
    return {
        "name": f"{PREFIX}results-{name}",
        "partitions": 1,
        "replication": _replicas(placement),
        "config": RESULT_TOPIC_CONFIG,
    }


def dead_letter_topic(name: str, placement: Placement) -> dict[str, Any]:
    """The topic of what a cell's classifier sets aside, as program `topics` makes it."""
    return {
        "name": f"{PREFIX}dead-{name}",
        "partitions": 1,
        "replication": _replicas(placement),
    }


def _replicas(placement: Placement) -> int:
    return min(_MOST_REPLICAS, len(placement.brokers))


@contextlib.asynccontextmanager
async def existing(
    broker: Session, bootstrap: str, topics: Sequence[dict[str, Any]]
) -> AsyncIterator[None]:
    """These topics exist while the context is entered.

    Raises:
        CellFailure: a broker refused, or did not answer in time.
    """
    await _change(broker, bootstrap, create=list(topics))
    try:
        yield
    finally:
        await _change(broker, bootstrap, delete=[topic["name"] for topic in topics])


async def remove_leftovers(broker: Session, bootstrap: str) -> None:
    """Remove every topic of a run that was killed."""
    await _change(broker, bootstrap, delete_prefixes=[PREFIX])


async def _change(broker: Session, bootstrap: str, **change: Any) -> None:
    async with Program(broker, "topics", {"bootstrap": bootstrap, **change}) as program:
        await program.until("done", timeout_s=_TIMEOUT_S)
