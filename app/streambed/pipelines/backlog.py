"""Batching `backlog`: a Structured Streaming query, whose batches take all that has arrived."""

import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from streambed.pipelines import spark_session
from streambed.pipelines.errors import ServiceError
from streambed.pipelines.micro_batches import Follower
from streambed.pipelines.protocol import Commands, emit, say

if TYPE_CHECKING:
    from pyspark.sql.streaming import DataStreamWriter, StreamingQuery

POLL_S = 0.2


def start(writer: "Callable[[], DataStreamWriter]", trigger_s: float) -> "StreamingQuery":
    """Start the query that `writer` describes; ServiceError when it does not start."""
    # Aligned to multiples of the interval since the epoch, which is what gates rely on.
    interval = f"{round(trigger_s * 1000)} milliseconds"
    query: StreamingQuery = spark_session.calling(
        lambda: writer().trigger(processingTime=interval).start(), "the query did not start"
    )
    return query


def follow(query: "StreamingQuery", commands: Commands, stop_timeout_s: float) -> Follower:
    """Emit batches until `stop`; then let the current one end, and stop the query."""
    follower = Follower()
    newest = None
    while not commands.wait("stop", POLL_S):
        if not query.isActive:
            break
        # One cheap call tells whether there is anything new; the full list is long.
        report = query._jsq.lastProgress()  # noqa: SLF001 (the public one parses it whole)
        told = None if report is None else (report.batchId(), report.timestamp())
        if told != newest:
            newest = told
            _emit_batches(query, follower)
    if query.isActive:
        _stop(query, stop_timeout_s)
    _emit_batches(query, follower)
    failure = query.exception()
    if failure is not None:
        raise ServiceError(f"the query failed: {spark_session.reason(str(failure))}")
    if not commands.received("stop"):
        raise ServiceError("the query ended by itself")
    return follower


def _emit_batches(query: "StreamingQuery", follower: Follower) -> None:
    before = len(follower.missed)
    # The reports' own JSON: pyspark's objects turn the offsets into text.
    reports = query._jsq.recentProgress()  # noqa: SLF001
    for event in follower.new_events(json.loads(report.json()) for report in reports):
        emit("batch", **event)
    if len(follower.missed) > before:
        emit("warning", at=time.time(), reason=f"no report of batches {follower.missed[before:]}")


def _stop(query: "StreamingQuery", timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while query.isActive and query.status["isTriggerActive"]:
        if time.monotonic() > deadline:
            say(f"the micro-batch did not end in {timeout_s} s: stopping it")
            break
        time.sleep(0.02)
    query.stop()
