"""From Spark's progress reports to one `batch` event per micro-batch, none twice, none missed."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any


def started_at(timestamp: str) -> float:
    """Unix seconds of a progress report's ISO time stamp (UTC)."""
    return datetime.fromisoformat(timestamp).timestamp()


def batch_event(report: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a `batch` event for one progress report.

    `execution_s` is the whole micro-batch from trigger to commit, without time spent waiting for
    the trigger; `durations_s` are Spark's own phases of it; `observed` holds what a stage of an
    ablation observes.
    """
    durations = {name: ms / 1000 for name, ms in report.get("durationMs", {}).items()}
    begin = started_at(report["timestamp"])
    execution_s = durations.get("triggerExecution", 0.0)
    source = (report.get("sources") or [{}])[0]
    return {
        "batch_id": int(report["batchId"]),
        "started_at": begin,
        "finished_at": begin + execution_s,
        "rows": int(report.get("numInputRows", 0)),
        "execution_s": execution_s,
        "durations_s": durations,
        "start_offsets": _offsets(source.get("startOffset")),
        "end_offsets": _offsets(source.get("endOffset")),
        "latest_offsets": _offsets(source.get("latestOffset")),
        "observed": dict(report.get("observedMetrics") or {}),
    }


def _offsets(raw: Any) -> dict[str, int] | None:
    """Partition to offset for the only topic of a Kafka source; null before the first batch."""
    if not isinstance(raw, dict) or not raw:
        return None
    (partitions,) = raw.values()
    return {str(partition): int(offset) for partition, offset in partitions.items()}


class Follower:
    """Sorts reports: each finished micro-batch once, idle triggers counted.

    Spark keeps only the newest reports, oldest first; ids without a gap prove that none was missed.
    """

    def __init__(self) -> None:
        self.last_batch_id = -1
        self.empty_triggers = 0
        self.missed: list[int] = []
        self._last_timestamp = ""

    def new_events(self, reports: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Events for the reports not seen before."""
        events = []
        for report in reports:
            if report["timestamp"] <= self._last_timestamp:
                continue
            self._last_timestamp = report["timestamp"]
            # An idle trigger repeats the id of the batch that is to come, without any work.
            if "addBatch" not in report.get("durationMs", {}):
                self.empty_triggers += 1
                continue
            event = batch_event(report)
            self.missed += range(self.last_batch_id + 1, event["batch_id"])
            self.last_batch_id = event["batch_id"]
            events.append(event)
        return events
