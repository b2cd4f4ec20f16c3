"""The window of a cell and the figures in it."""

import numpy as np
import pytest

from streambed.results.measure import (
    busy_image_rate_per_s,
    image_rate_per_s,
    link_utilisation,
    makespan_image_rate_per_s,
    micro_batch_times,
    queue_max_s,
    streaming_measures,
)
from streambed.results.samples import Appends, Batches, Sending
from streambed.results.window import TooShort, Window, back_to_back_at, drained_at, find_window

EPOCH = 1_760_000_000.0


def batches(*entries: tuple[float, float, int]) -> Batches:
    """(start after EPOCH, execution, rows)."""
    return Batches(
        np.array([EPOCH + at for at, _, _ in entries]),
        np.array([execution for _, execution, _ in entries]),
        np.array([rows for _, _, rows in entries], np.int64),
    )


def steady(seconds: int, rate: int, *, execution_s: float = 0.6, jitter_s: float = 0.03) -> Batches:
    """A system in real time, trigger 1 s: a batch per second with what arrived in the last."""
    entries = [(k + jitter_s, execution_s, rate if k else rate // 5) for k in range(seconds + 1)]
    return batches(*entries)


def appends_of(done: Batches) -> Appends:
    """Results of a batch in four records, the last one as it ends."""
    at = [
        s + e * part / 4
        for s, e in zip(done.started_at_s, done.execution_s, strict=True)
        for part in (1, 2, 3, 4)
    ]
    rows = [int(r) // 4 for r in done.rows for _ in range(4)]
    return Appends(np.array(at), np.array(rows, np.int64))


def sending(start: float, end: float, images: int) -> Sending:
    return Sending(EPOCH + start, EPOCH + end, EPOCH + end, images)


def window_of(done: Batches, sent: Sending, trigger_s: float = 1.0, warm_up: int = 3) -> Window:
    return find_window(done, sent, trigger_s=trigger_s, warm_up_triggers=warm_up)


def test_the_window_starts_after_the_warm_up_triggers_and_ends_while_sending() -> None:
    window = window_of(steady(16, 1000), sending(-0.2, 15.4, 15_600))
    assert (window.start_s - EPOCH, window.end_s - EPOCH) == (3.0, 15.0)
    assert window.triggers == 12
    assert window.drained


def test_a_partial_first_trigger_is_not_one_of_the_warm_up() -> None:
    window = window_of(steady(16, 1000), sending(0.4, 15.4, 15_000))
    assert window.start_s - EPOCH == 4.0


def test_the_window_waits_for_the_backlog_to_drain() -> None:
    slow_start = [(0.0, 5.2, 100), (5.2, 1.9, 5200), (7.1, 1.2, 1900), (8.3, 0.9, 1200)]
    later = [(float(k), 0.6, 1000) for k in range(10, 24)]
    window = window_of(batches(*slow_start, (9.2, 0.6, 900), *later), sending(0, 23.5, 23_500))
    assert window.start_s - EPOCH == 10.0
    assert window.drained


def test_one_small_batch_before_a_backlog_is_not_drained() -> None:
    done = batches((0, 10, 50), (10, 7, 10_000), (17, 5, 7000), (22, 0.6, 900), (23, 0.6, 1000))
    assert drained_at(done, 1000, 1.0) == EPOCH + 22


def test_a_batch_may_be_a_fifth_larger_than_what_arrives() -> None:
    assert drained_at(batches((0, 1, 1200), (1, 1, 1200)), 1000, 1.0) == EPOCH
    assert drained_at(batches((0, 1, 1210), (1, 1, 1210)), 1000, 1.0) is None


def test_a_batch_that_had_to_wait_is_not_without_backlog() -> None:
    """Its predecessor's results fall into the trigger after: they would count twice over."""
    late = [(0.0, 1.3, 1000), (1.3, 1.0, 1100), (2.3, 0.9, 1000), (3.2, 0.6, 900)]
    on_time = [(4.0, 0.6, 800), (5.004, 0.6, 1000), (5.998, 0.6, 1000)]
    assert drained_at(batches(*late, *on_time), 1000, 1.0) == EPOCH + 4


def test_a_quiet_start_does_not_count_as_drained_when_the_backlog_comes_later() -> None:
    early = [(0.0, 0.5, 500), (1.0, 0.5, 1000), (2.0, 9.0, 1000)]
    late = [(11.0, 1.5, 9000), (12.5, 0.9, 1500), (13.4, 0.6, 900)]
    steady_after = [(float(k), 0.6, 1000) for k in range(14, 30)]
    window = window_of(batches(*early, *late, *steady_after), sending(0, 29.5, 29_500))
    assert window.start_s - EPOCH == 14.0


def test_a_saturated_system_is_measured_at_its_capacity() -> None:
    starts, rows = [0.0], [200]
    while starts[-1] < 40:  # 1000 images/s arrive, 500/s are classified: batches double
        duration = max(rows[-1] / 500, 0.5)
        starts.append(starts[-1] + duration)
        rows.append(int(1000 * duration))
    durations = [max(r / 500, 0.5) for r in rows]
    done = batches(*zip(starts, durations, rows, strict=True))
    window = window_of(done, sending(0, 40, 40_000))
    assert not window.drained
    assert window.triggers >= 8


def test_batches_that_outlast_a_short_trigger_but_keep_up_are_no_backlog() -> None:
    random, at, read, entries = np.random.default_rng(5), 0.05, 0, []
    while at < 20:  # each takes what arrived while its predecessor ran
        due, took = int(1000 * at) - read, random.uniform(0.2, 0.45)
        entries.append((at, took, due))
        read, at = read + due, at + took
    window = window_of(batches(*entries), sending(0, 19.9, 19_900), trigger_s=0.1)
    assert window.drained
    assert window.start_s - EPOCH == pytest.approx(0.5, abs=0.3)
    behind = batches(*((at, took, rows // 2) for at, took, rows in entries))
    assert back_to_back_at(behind, 1000, 0.1) is None
    growing = batches(*((at, took, int(10 * at)) for at, took, _ in entries))
    assert back_to_back_at(growing, 100, 0.1) is None


def test_a_boundary_that_a_batch_straddles_bounds_no_window() -> None:
    """Seen at 100 Mbit/s: 13 batches' results in 12 triggers, 1.2 % more than the link carries."""
    slow = [(4.02, 1.05, 1000), (5.07, 0.95, 1000)]
    before = [(float(k), 0.9, 1000) for k in range(4)]
    after = [(6.03 + k, 0.9, 1000) for k in range(10)]
    done = batches(*before, *slow, *after)
    window = window_of(done, sending(0, 15.5, 15_500), warm_up=5)
    assert window.start_s - EPOCH == 6.0 + 1.0
    assert image_rate_per_s(lumps(done), window) == pytest.approx(1000)


def test_a_system_that_caught_up_for_a_moment_only_is_saturated() -> None:
    early = [(0.0, 0.9, 1000), (1.0, 0.9, 1000), (2.0, 0.9, 1000)]
    late = [(3.0 + 1.15 * k, 1.15, 1000) for k in range(14)]
    window = window_of(batches(*early, *late), sending(0, 18.5, 18_500), warm_up=1)
    assert not window.drained


def queueing(
    triggers: int, rate: int, capacity: int, *, overhead_s: float = 0.1, slow_first_s: float = 0.0
) -> Batches:
    """A batch per tick with what arrived in its second, worked off one after the other."""
    starts, executions, queued, free_at = [], [], [], 0.0
    for tick in range(1, triggers + 1):
        start = max(float(tick), free_at)
        execution = overhead_s + rate / capacity + (slow_first_s if tick == 1 else 0.0)
        starts.append(EPOCH + start)
        executions.append(execution)
        queued.append(start - tick)
        free_at = start + execution
    return Batches(
        np.array(starts),
        np.array(executions),
        np.full(triggers, rate, np.int64),
        np.array(queued),
    )


def lumps(done: Batches) -> Appends:
    """Results of a batch in one record, as it ends."""
    return Appends(done.ended_at_s - 0.001, done.rows)


def test_a_saturated_cell_that_sends_long_enough_is_measured_while_it_sends() -> None:
    done = queueing(30, 3000, 1000, overhead_s=0.0)
    window = window_of(done, sending(0, 30, 90_000))
    # The batch that started at 28 s ends at 31 s.
    assert (window.start_s - EPOCH, window.end_s - EPOCH) == (4.0, 31.0)


@pytest.mark.parametrize(("triggers", "ratio"), [(6, 3.0), (8, 3.3), (11, 1.7), (60, 1.3)])
def test_a_queue_that_grows_shows_the_capacity_beyond_the_last_send(
    triggers: int, ratio: float
) -> None:
    done = queueing(triggers, int(1000 * ratio), 1000, overhead_s=0.0)
    window = window_of(done, sending(0, triggers, triggers * int(1000 * ratio)))
    assert not window.drained
    assert window.end_s - EPOCH > triggers
    rate = image_rate_per_s(lumps(done), window)
    assert rate == pytest.approx(1000, rel=1.1 / window.triggers)
    assert busy_image_rate_per_s(done, window) == pytest.approx(1000)
    waited_s = queue_max_s(done, window)
    assert waited_s is not None
    assert waited_s > 2


def test_the_last_part_of_an_interval_is_not_a_full_batch() -> None:
    done = queueing(6, 3000, 1000, overhead_s=0.0)
    rest = Batches(
        np.append(done.started_at_s, done.ended_at_s[-1]),
        np.append(done.execution_s, 30.0),
        np.append(done.rows, 100),
        np.append(done.queued_s if done.queued_s is not None else [], 30.0),
    )
    sent = sending(0, 6.1, 18_100)
    assert window_of(rest, sent) == window_of(done, sent)


def test_batches_on_time_are_measured_while_the_producer_sends() -> None:
    window = window_of(queueing(20, 1000, 2000), sending(0, 20.2, 20_200))
    assert window.drained
    assert (window.start_s - EPOCH, window.end_s - EPOCH) == (3.0, 20.0)


def test_a_wait_of_a_whole_trigger_is_not_on_time() -> None:
    """It started on a boundary, but on the one after its own."""
    done = queueing(12, 1000, 1000, overhead_s=0.0, slow_first_s=1.0)
    assert done.queued_s is not None
    assert set(done.queued_s[1:]) == {1.0}
    assert not window_of(done, sending(0, 12, 12_000)).drained


def test_a_queue_that_is_being_worked_off_is_too_short() -> None:
    with pytest.raises(TooShort, match="waited"):
        window_of(
            queueing(14, 1000, 1500, overhead_s=0.0, slow_first_s=8.0), sending(0, 14.5, 14_500)
        )


def test_batches_of_events_know_their_queue_only_when_they_were_cut() -> None:
    event = {"started_at": 103.5, "execution_s": 1.0, "rows": 5}
    assert Batches.of_events([event]).queued_s is None
    queued = Batches.of_events([{**event, "due_at": 101.0}]).queued_s
    assert queued is not None
    assert list(queued) == [2.5]


def test_a_backlog_still_being_worked_off_is_too_short() -> None:
    done = batches((0, 10, 100), (10, 8, 10_000), (18, 6, 8000), (24, 4, 6000))
    with pytest.raises(TooShort, match="worked off"):
        window_of(done, sending(0, 26, 26_000))


def test_seven_whole_triggers_are_too_short_and_eight_are_not() -> None:
    assert window_of(steady(12, 1000), sending(0, 11.0, 11_000)).triggers == 8
    with pytest.raises(TooShort, match=r"7 whole triggers .* needs 8"):
        window_of(steady(12, 1000), sending(0, 10.99, 10_990))


def test_no_batch_with_images_is_too_short() -> None:
    with pytest.raises(TooShort, match="no micro-batch"):
        window_of(batches((0, 0.1, 0), (1, 0.1, 0)), sending(0, 20, 100))
    with pytest.raises(TooShort, match="no micro-batch"):
        window_of(batches(), sending(0, 20, 100))


def test_empty_triggers_change_nothing() -> None:
    full = steady(16, 1000)
    gaps = [(k + 0.5, 0.01, 0) for k in range(16)]
    entries = list(zip(full.started_at_s - EPOCH, full.execution_s, full.rows, strict=True))
    both = batches(*sorted([*entries, *gaps]))
    sent = sending(-0.2, 15.4, 15_600)
    assert window_of(both, sent) == window_of(full, sent)
    window = window_of(both, sent)
    assert micro_batch_times(both, window) == micro_batch_times(full, window)


def test_boundaries_are_multiples_of_the_trigger_since_the_epoch() -> None:
    done = batches(*[(2 * k + 0.01, 0.7, 2000) for k in range(20)])
    window = window_of(done, sending(0.5, 37, 36_500), trigger_s=2.0)
    assert window.start_s % 2 == 0
    assert window.end_s % 2 == 0
    shifted = find_window(
        done, sending(0.5, 37, 36_500), trigger_s=2.0, warm_up_triggers=3, origin_s=EPOCH + 0.25
    )
    assert (shifted.start_s - EPOCH - 0.25) % 2 == 0


def test_a_trigger_that_is_no_binary_fraction_keeps_whole_counts() -> None:
    done = batches(*[(0.1 * k, 0.05, 100) for k in range(200)])
    window = window_of(done, sending(0, 19.95, 19_950), trigger_s=0.1)
    assert window.span_s == pytest.approx(window.triggers * 0.1)


def test_real_time_gives_exactly_what_arrives() -> None:
    done = steady(16, 1000)
    window = window_of(done, sending(-0.2, 15.4, 15_600))
    assert image_rate_per_s(appends_of(done), window) == pytest.approx(1000)


def test_a_batch_that_straddles_a_boundary_counts_on_each_side_by_its_appends() -> None:
    window = Window(EPOCH + 2, EPOCH + 10, 8, drained=True)
    appends = Appends(
        np.array([EPOCH + 1.9, EPOCH + 2.0, EPOCH + 5, EPOCH + 9.999, EPOCH + 10.0]),
        np.array([1000, 100, 50, 10, 1]),
    )
    assert image_rate_per_s(appends, window) == pytest.approx(160 / 8)


def test_the_order_of_appends_does_not_matter() -> None:
    done = steady(16, 1000)
    window = window_of(done, sending(-0.2, 15.4, 15_600))
    straight = appends_of(done)
    mixed = np.random.default_rng(1).permutation(straight.at_s.size)
    assert image_rate_per_s(
        Appends(straight.at_s[mixed], straight.images[mixed]), window
    ) == image_rate_per_s(straight, window)


def test_makespan_is_first_send_to_last_result() -> None:
    appends = Appends(np.array([EPOCH + 5, EPOCH + 20]), np.array([600, 400]))
    assert makespan_image_rate_per_s(appends, sending(0, 15, 1000)) == pytest.approx(50)
    nothing = Appends(np.array([]), np.array([], np.int64))
    assert makespan_image_rate_per_s(nothing, sending(0, 15, 1000)) is None


def test_link_utilisation_has_its_known_ceiling() -> None:
    # Facts: 15,036 images/s at 100 Mbit/s, goodput 95.65 Mbit/s, is 98.6 % with the key.
    assert link_utilisation(15_036, 784, 95.65) == pytest.approx(0.986, abs=0.001)
    assert link_utilisation(15_036, 784, None) is None


def test_micro_batch_times_leave_out_what_started_outside() -> None:
    done = batches((1, 9, 10), (2, 1.0, 10), (3, 2.0, 10), (9.9, 3.0, 10), (10, 50, 10))
    times = micro_batch_times(done, Window(EPOCH + 2, EPOCH + 10, 8, drained=True))
    assert times.mean_s == pytest.approx(2.0)
    assert times.p95_s == pytest.approx(2.9)
    assert times.max_s == 3.0
    none = micro_batch_times(done, Window(EPOCH + 20, EPOCH + 30, 10, drained=True))
    assert none.mean_s is None


def test_the_figures_of_a_cell_come_together() -> None:
    done = steady(16, 1000)
    measures, window = streaming_measures(
        appends_of(done),
        done,
        sending(-0.2, 15.4, 15_600),
        trigger_s=1.0,
        warm_up_triggers=3,
        payload_bytes=784,
        goodput_up_mbit_per_s=6.45,
    )
    assert measures.image_rate_per_s == pytest.approx(1000)
    assert measures.link_utilisation == pytest.approx(0.9724, abs=1e-3)
    assert measures.micro_batch_mean_s == pytest.approx(0.6)
    assert measures.busy_image_rate_per_s == pytest.approx(1000 / 0.6)
    assert measures.queue_max_s is None
    assert measures.window_triggers == window.triggers == 12
    assert measures.warm_up_s == pytest.approx(3.2)
    assert measures.send_rate_per_s == pytest.approx(1000)


def test_arrays_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="one length"):
        Appends(np.array([1.0]), np.array([1, 2]))
