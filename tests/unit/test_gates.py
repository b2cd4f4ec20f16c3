"""Gates: each lets a good reading through and stops a bad one."""

import json
from typing import Any

import pytest

from streambed.gates import accounting, contention, driver, goodput, trigger
from streambed.gates.reading import Reading, failed_reasons, raised_flags
from streambed.runner.failure import CellFailure

GOOD = {"lost": 0, "unknown_ids": 0, "duplicates": 0, "mismatches": 0, "accuracy": 0.98}


def _verdicts(readings: list[Reading]) -> dict[str, bool]:
    return {reading.gate: reading.ok for reading in readings}


def test_a_clean_account_passes() -> None:
    assert not failed_reasons(accounting.judge(100, 100, GOOD, 0.97))


@pytest.mark.parametrize(
    ("gate", "change"),
    [
        ("images_lost", {"lost": 1}),
        ("results_duplicate", {"duplicates": 1}),
        ("results_unknown", {"unknown_ids": 1}),
        ("labels_as_offline", {"mismatches": 1}),
        ("accuracy", {"accuracy": 0.5}),
    ],
)
def test_one_image_too_many_or_too_few_fails(gate: str, change: dict[str, float]) -> None:
    verdicts = _verdicts(accounting.judge(100, 100, GOOD | change, 0.97))
    assert [name for name, ok in verdicts.items() if not ok] == [gate]


def test_lost_images_are_explained_by_what_was_set_aside() -> None:
    aside = {"empty": 1, "the model failed: RuntimeError('too bright')": 7, "b": 2, "c": 3}
    (lost, *_) = failed_reasons(
        accounting.judge(100, 100, GOOD | {"lost": 8, "set_aside": aside}, None)
    )
    assert lost == (
        "images_lost: measured 8; set aside: the model failed: RuntimeError('too bright') (7), "
        "c (3), b (2), 1 more reasons, expected 0"
    )


def test_an_image_that_no_broker_acknowledged_fails() -> None:
    assert failed_reasons(accounting.judge(100, 99, GOOD, 0.97))


@pytest.mark.parametrize(("up", "down"), [(9.3, 9.564), (9.564, 9.8)])
def test_goodput_out_of_tolerance_fails_in_its_direction(up: float, down: float) -> None:
    verdicts = _verdicts(goodput.judge(goodput.Goodput(up, down), 10e6, 1500, 0.02, "before"))
    assert verdicts == {
        "goodput_up_before": up == 9.564,
        "goodput_down_before": down == 9.564,
    }


def _interval(mbit_per_s: float, seconds: float = 0.25, *, omitted: bool = False) -> dict[str, Any]:
    rate = {"bits_per_second": mbit_per_s * 1e6, "seconds": seconds, "omitted": omitted}
    return {"streams": [], "sum": rate}


def test_goodput_is_what_the_receiver_counted_while_the_host_did_not_stop() -> None:
    start_up = [_interval(30, omitted=True)] * 4
    report = {"intervals": [*start_up, *[_interval(9.5)] * 6, _interval(0), _interval(99, 0.01)]}
    assert goodput.received_mbit_per_s(json.dumps(report), "a to b", 10.0) == pytest.approx(9.5)


@pytest.mark.parametrize("text", ["", "{}x", '{"error": "unable to connect"}', '{"intervals": []}'])
def test_a_failed_measurement_is_no_goodput(text: str) -> None:
    with pytest.raises(CellFailure, match="a to b"):
        goodput.received_mbit_per_s(text, "a to b", 10.0)


def test_bursts_after_a_hold_up_are_no_faster_link() -> None:
    seen = [0.0, 22.0, 20.2, 18.0, 21.5, 20.4, 12.4]
    report = {"intervals": [{"sum": {"bits_per_second": r * 1e6, "seconds": 0.25}} for r in seen]}
    median, mean = 20.3, (22.0 + 20.2 + 18.0 + 21.5 + 20.4 + 12.4) / 6
    text = json.dumps(report)
    assert goodput.received_mbit_per_s(text, "a to b", 19.3) == pytest.approx(mean)
    assert goodput.received_mbit_per_s(text, "a to b", 25.0) == pytest.approx(median)


def test_a_shortfall_is_of_the_slower_direction_and_never_negative() -> None:
    expected = 9.5649
    slow = goodput.Goodput(0.97 * expected, 1.2 * expected)
    assert goodput.shortfall(slow, 10e6, 1500) == pytest.approx(0.03, abs=1e-4)
    assert goodput.shortfall(goodput.Goodput(12.0, 12.0), 10e6, 1500) == 0


def test_slow_links_are_measured_for_longer_within_bounds() -> None:
    assert goodput.measuring_time_s(100e6, 2.0) == 2
    assert goodput.measuring_time_s(5e6, 2.0) == pytest.approx(5.792)
    assert goodput.measuring_time_s(64e3, 2.0) == 12
    assert goodput.measuring_time_s(100e6, 20.0) == 20


def test_a_trigger_that_acts() -> None:
    starts = [0.0, 1.01, 2.0, 3.02, 4.0]
    assert trigger.acts(starts, [0.4] * 5, 1.0).ok


@pytest.mark.parametrize("interval", [0.3, 2.0])
def test_another_trigger_than_asked_for_is_seen(interval: float) -> None:
    starts = [i * interval for i in range(10)]
    assert not trigger.acts(starts, [0.1] * 10, 1.0).ok


def test_batches_that_overrun_do_not_speak_against_the_trigger() -> None:
    starts = [0.0, 1.7, 3.1, 4.0, 5.0, 6.0]
    executions = [1.7, 1.4, 0.5, 0.5, 0.5, 0.5]
    assert trigger.acts(starts, executions, 1.0).ok


def test_another_trigger_is_seen_even_when_every_batch_overran() -> None:
    assert trigger.acts([0.0, 1.2, 2.4, 3.7], [1.2, 1.2, 1.3, 1.2], 1.0).ok
    assert not trigger.acts([0.0, 5.0, 10.0, 15.0], [1.2] * 4, 1.0).ok


def test_no_batches_prove_nothing() -> None:
    assert not trigger.acts([], [], 1.0).ok


def test_headroom_and_a_starved_producer_raise_the_flag() -> None:
    good = [driver.headroom(30_000, 15_000, 2.0), driver.filled_link(14_900, 15_000)]
    assert raised_flags(good) == []
    assert raised_flags([driver.headroom(29_000, 15_000, 2.0)]) == ["driver_bound"]
    assert raised_flags([driver.filled_link(13_000, 15_000)]) == ["driver_bound"]


def test_what_others_took_is_steal_and_what_no_node_used() -> None:
    before = [contention.parse(f"cpu 100 0 100 800 0 0 0 0 0 0\n{ns}\n") for ns in (10**9, 5)]
    pressure = "some avg10=1.0 avg60=1.0 avg300=1.0 total=2500000"
    after = [
        contention.parse(f"cpu 200 0 200 1580 0 0 0 20 0 0\n{ns}\n{pressure}")
        for ns in (2 * 10**9, 5)
    ]
    seen = contention.taken(before, after, 10.0)
    assert seen.steal == pytest.approx(0.02)
    assert seen.foreign == pytest.approx(0.1)  # 2 s were busy, nodes used 1 s, of 10 s in all
    assert seen.pressure == pytest.approx(0.25)
    assert contention.judge(seen, 0.13).ok
    assert raised_flags([contention.judge(seen, 0.1)]) == ["contended"]


def test_on_whole_machines_only_steal_can_be_told() -> None:
    before = [contention.parse("cpu 0 0 0 0 0 0 0 0\nnone\n")]
    after = [contention.parse("cpu 900 0 0 100 0 0 0 0\nnone\n")]
    assert contention.taken(before, after, 10.0) == contention.Taken(0.0, 0.0, 0.0)


def test_the_trigger_is_judged_by_batches_made_while_images_were_sent_and_the_one_that_waited() -> (
    None
):
    queued = [{"cut_at": float(n), "started_at": 5.0 * n, "rows": 9} for n in range(6)]
    assert trigger.of_sending(queued, 0.5, 3.5) == queued[1:5]
    at_once = [{"started_at": at, "rows": rows} for at, rows in ((-1, 4), (1, 5), (5, 90), (9, 0))]
    assert trigger.of_sending(at_once, 0.0, 4.0) == at_once[1:3]
    assert trigger.of_sending(at_once, 0.0, 6.0) == at_once[1:3]
