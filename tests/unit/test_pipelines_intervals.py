"""Batching `interval`: what arrived in one interval is a batch, however long the last one takes."""

import json

from streambed.pipelines import intervals


class Growing:
    """A topic whose ends are given, one answer per question."""

    def __init__(self, *ends: dict[int, int]) -> None:
        self._ends = list(ends)

    def start(self) -> intervals.Offsets:
        return self._ends.pop(0)

    latest = start


def slices(*ends: dict[int, int]) -> tuple[list[intervals.Slice], intervals.Cutter]:
    cutter = intervals.Cutter(Growing(*ends), 2.0)
    for tick in range(len(ends) - 1):
        cutter.cut(100.0 + 2 * tick)
    found = []
    while not cutter.slices.empty():
        part = cutter.slices.get()
        assert isinstance(part, intervals.Slice)
        found.append(part)
    return found, cutter


def test_ticks_are_whole_multiples_since_the_epoch_and_always_later() -> None:
    assert intervals.next_tick(1000.2, 1.0) == 1001.0
    assert intervals.next_tick(1001.0, 1.0) == 1002.0
    assert intervals.next_tick(1001.0, 5.0) == 1005.0
    # A clock that woke a rounding error early must not give the same tick again.
    assert intervals.next_tick(1000.9999999, 1.0) == 1002.0


def test_a_slice_is_what_arrived_between_two_ticks() -> None:
    found, _ = slices({0: 5, 1: 0}, {0: 15, 1: 7}, {0: 15, 1: 27})
    assert [part.images for part in found] == [17, 20]
    assert [(part.start, part.end) for part in found] == [
        ({0: 5, 1: 0}, {0: 15, 1: 7}),
        ({0: 15, 1: 7}, {0: 15, 1: 27}),
    ]
    assert [part.due_at for part in found] == [100.0, 102.0]
    assert [part.batch_id for part in found] == [0, 1]


def test_an_interval_without_images_is_counted_and_leaves_no_batch() -> None:
    found, cutter = slices({0: 0}, {0: 0}, {0: 4}, {0: 4})
    assert [(part.batch_id, part.due_at) for part in found] == [(0, 102.0)]
    assert cutter.empty_ticks == 2


def test_processing_time_leaves_out_the_queue() -> None:
    (part,), _ = slices({0: 0}, {0: 9})
    event = intervals.batch_event(part, started_at=104.5, finished_at=106.0)
    assert event["execution_s"] == 1.5
    assert event["durations_s"] == {"queue": 4.5}
    assert event["rows"] == 9
    json.dumps(event)


def test_offsets_are_written_as_spark_reads_them() -> None:
    assert json.loads(intervals.offsets_json("t", {0: 1, 1: 2})) == {"t": {"0": 1, "1": 2}}
