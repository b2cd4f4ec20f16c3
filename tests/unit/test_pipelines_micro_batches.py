"""Progress reports become one event per micro-batch: none twice, none missed unseen."""

from typing import Any

from streambed.pipelines.micro_batches import Follower, batch_event


def report(batch_id: int, second: int, rows: int = 100, work: bool = True) -> dict[str, Any]:
    durations = {"triggerExecution": 640, "latestOffset": 5}
    return {
        "batchId": batch_id,
        "timestamp": f"2026-11-21T10:00:{second:02d}.000Z",
        "numInputRows": rows,
        "durationMs": {**durations, "addBatch": 600} if work else durations,
        "sources": [
            {
                "startOffset": {"images": {"0": 10, "1": 12}} if batch_id else None,
                "endOffset": {"images": {"0": 60, "1": 62}},
                "latestOffset": {"images": {"0": 60, "1": 62}},
            }
        ],
    }


def test_the_event_has_seconds_and_offsets() -> None:
    event = batch_event(report(3, 7))
    assert (event["batch_id"], event["rows"], event["execution_s"]) == (3, 100, 0.64)
    assert event["started_at"] % 60 == 7
    assert event["finished_at"] == event["started_at"] + 0.64
    assert event["durations_s"]["addBatch"] == 0.6
    assert (event["start_offsets"], event["end_offsets"]) == (
        {"0": 10, "1": 12},
        {"0": 60, "1": 62},
    )
    assert batch_event(report(0, 0))["start_offsets"] is None


def test_each_batch_once_however_often_the_list_is_read() -> None:
    follower = Follower()
    first, second, third = report(0, 1), report(1, 2), report(2, 3)
    assert [e["batch_id"] for e in follower.new_events([first, second])] == [0, 1]
    assert [e["batch_id"] for e in follower.new_events([first, second, third])] == [2]
    assert follower.new_events([first, second, third]) == []
    assert follower.missed == []


def test_idle_triggers_are_counted_and_do_not_hide_the_batch_of_their_id() -> None:
    follower = Follower()
    follower.new_events([report(0, 1)])
    assert follower.new_events([report(1, 2, rows=0, work=False)]) == []
    assert [e["batch_id"] for e in follower.new_events([report(1, 3)])] == [1]
    assert (follower.empty_triggers, follower.missed) == (1, [])


def test_a_batch_without_report_is_told() -> None:
    follower = Follower()
    follower.new_events([report(0, 1)])
    follower.new_events([report(3, 9)])
    assert follower.missed == [1, 2]
