"""How far clocks are apart: bounded by round trips, by an NTP client, by being one clock."""

import pytest

from streambed.gates import timeliness
from streambed.pipelines.clock import chrony_bound_s
from streambed.results.clocks import Apart, NodeClock, ahead, apart, widest

CAMERA = NodeClock("boot-a", offset_s=0.010, bound_s=0.002)
CLOUD = NodeClock("boot-b", offset_s=0.013, bound_s=0.001)
TRACKING = (
    "C0000201,ntp,3,1760000000.1,-0.000100,0.00002,0.00003,1.2,0.01,0.2,0.0040,0.0005,64.2,Normal"
)


def test_nodes_of_one_kernel_have_one_clock() -> None:
    assert apart(CAMERA, NodeClock("boot-a", offset_s=9.0, bound_s=9.0)) == Apart(0.0, 0.0)


def test_offset_and_both_round_trips_add_up() -> None:
    found = apart(CAMERA, CLOUD)
    assert found.offset_s == pytest.approx(0.003)
    assert found.uncertainty_s == pytest.approx(0.006)
    assert apart(CLOUD, CAMERA).offset_s == pytest.approx(-0.003)


def test_what_chrony_vouches_for_counts_when_it_is_less() -> None:
    bound = chrony_bound_s(TRACKING)
    assert bound == pytest.approx(0.0001 + 0.0020 + 0.0005)
    known = [NodeClock(c.boot_id, c.offset_s, c.bound_s, bound) for c in (CAMERA, CLOUD)]
    assert apart(*known).uncertainty_s == pytest.approx(0.0052)
    assert apart(known[0], CLOUD).uncertainty_s == pytest.approx(0.006)  # one of them only


@pytest.mark.parametrize("said", ["", TRACKING.replace("Normal", "Not synchronised"), "506 Cannot"])
def test_a_clock_that_chrony_does_not_follow_is_not_vouched_for(said: str) -> None:
    assert chrony_bound_s(said) is None


def test_an_older_chrony_has_one_field_less_in_front() -> None:
    assert chrony_bound_s(TRACKING.partition(",")[2]) == chrony_bound_s(TRACKING)


def test_the_pair_that_is_furthest_apart_over_all_readings_counts() -> None:
    later = {"camera": CAMERA, "cloud": NodeClock("boot-b", offset_s=0.030, bound_s=0.001)}
    readings = [{"camera": CAMERA, "cloud": CLOUD}, later]
    assert widest(readings, ["camera"], ["cloud"]).uncertainty_s == pytest.approx(0.023)
    assert widest(readings, ["camera"], ["camera"]) == Apart(0.0, 0.0)
    assert widest([], ["camera"], ["cloud"]) == Apart(0.0, 0.0)


def test_a_time_is_corrected_by_what_was_measured_and_off_by_the_round_trips() -> None:
    readings = [{"camera": CAMERA, "cloud": CLOUD}]
    found = ahead(readings, "camera", ["cloud"])
    assert (found.offset_s, found.uncertainty_s) == pytest.approx((0.003, 0.003))
    # A clock that drifted meanwhile, or another node, widens it.
    later = {"camera": CAMERA, "cloud": NodeClock("boot-b", offset_s=0.030, bound_s=0.001)}
    found = ahead([*readings, later], "camera", ["cloud"])
    assert (found.offset_s, found.uncertainty_s) == pytest.approx((0.0115, 0.0115))
    assert ahead(readings, "camera", ["camera"]) == ahead([], "camera", ["cloud"]) == Apart()
    bound = 0.001
    vouched = {
        name: NodeClock(clock.boot_id, clock.offset_s, clock.bound_s, bound)
        for name, clock in readings[0].items()
    }
    found = ahead([vouched], "camera", ["cloud"])
    assert (found.offset_s, found.uncertainty_s) == pytest.approx((0.001, 0.001))


@pytest.mark.parametrize(
    ("apart_s", "latency_s", "ok"),
    [
        (0.0, 0.1, True),
        (0.05, 0.1, True),
        (0.2, 0.1, False),
        (0.0, -0.001, True),
        (0.0, None, False),
    ],
)
def test_a_latency_within_what_clocks_differ_by_is_refused(
    apart_s: float, latency_s: float | None, ok: bool
) -> None:
    assert timeliness.clocks_close(apart_s, latency_s).ok is ok
