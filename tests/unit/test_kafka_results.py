"""Rates, cameras and gates of study B: arithmetic over what node programs told."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streambed.errors import StreambedError
from streambed.gates import kafka as gates
from streambed.gates.reading import Reading, failed_reasons, raised_flags
from streambed.results import filming, throughput
from streambed.results.filming import Arrivals
from streambed.results.steady import find_steady
from streambed.runner import linked


def progress(acked: int, at: float) -> dict[str, Any]:
    return {"event": "progress", "sent": acked, "acked": acked, "at": at}


def sample(images: int, at: float) -> dict[str, Any]:
    return {"event": "sample", "images": images, "at": at}


def test_acknowledged_images_are_steps_and_pauses_are_none() -> None:
    steps = throughput.produced([progress(10, 1.0), progress(10, 2.0), progress(40, 4.0)])
    assert [(step.at_s, step.images) for step in steps] == [(1.0, 10), (4.0, 30)]
    assert throughput.longest_gap_s(steps) == 3.0
    assert throughput.longest_gap_s(steps[:1]) is None


def test_javas_samples_are_steps_too() -> None:
    assert [step.images for step in throughput.produced([sample(5, 1.0), sample(7, 2.0)])] == [5, 7]


def test_consumers_are_judged_together_until_the_first_has_none_left() -> None:
    fast = [sample(100, second) for second in range(1, 21)]
    slow = [sample(50, second) for second in range(1, 31)]
    steady = find_steady(throughput.consumed([fast, slow]), throughput.warm_up_images(3500))
    assert steady.image_rate_per_s == pytest.approx(150, rel=0.05)
    assert steady.end_s == 20


def test_what_is_read_after_the_last_send_does_not_count() -> None:
    steps = throughput.consumed([[sample(10, 1.0), sample(10, 2.0), sample(90, 3.0)]], until_s=2.0)
    assert sum(step.images for step in steps) == 20


def test_a_profile_is_told_in_words() -> None:
    profile = {
        "cpu_s": 10.0,
        "activities_s": {
            "checksum": 6.1,
            "record batches": 2.0,
            "library, other": 0.1,
            "metrics": 0.001,
        },
        "other_s": 1.0,
    }
    words = throughput.profile_words(profile, 100_000)
    assert words == (
        "checksum 61.0 us; record batches 20.0 us; threads in C 10.0 us; library, other 1.0 us"
    )
    assert throughput.profile_us(words) == {
        "checksum": 61.0,
        "record batches": 20.0,
        "threads in C": 10.0,
        "library, other": 1.0,
    }
    assert throughput.profile_words(None, 1) is None


# --- cameras --------------------------------------------------------------------------------


def arrived(frames: list[int], latency_s: float = 0.05) -> Arrivals:
    ids = np.array(frames, np.int64)
    due = ids.astype(np.float64)
    return Arrivals(ids, due, due + latency_s + np.arange(len(ids)) * 1e-6)


def test_frames_of_a_camera_keep_their_order_whatever_others_do() -> None:
    # Camera 0 has frames 0, 2, 4, camera 1 has 1, 3, 5.
    assert filming.reordered(arrived([1, 3, 0, 5, 2, 4]), 2) == 0
    assert filming.reordered(arrived([0, 4, 2, 1, 3, 5]), 2) == 1
    # A second copy is a duplicate, and no frame out of order.
    assert filming.reordered(arrived([0, 2, 4, 2, 1, 3, 5]), 2) == 0


def test_the_first_arrival_of_a_frame_counts_and_warm_up_does_not() -> None:
    late = Arrivals(np.array([4]), np.array([4.0]), np.array([9.0]))
    counted = filming.first_of_each([late, arrived([0, 2, 4])], first_frame=1)
    assert counted.frame.tolist() == [2, 4]
    assert filming.latencies_s(counted) == pytest.approx([0.05, 0.05], abs=1e-3)


def test_each_camera_has_its_percentiles_and_those_without_frames_are_there(
    tmp_path: Path,
) -> None:
    both = Arrivals(
        np.array([0, 3, 6, 1, 4]),
        np.zeros(5),
        np.array([0.010, 0.010, 0.010, 0.500, 0.600]),
    )
    cameras = filming.by_camera(both, cameras=3, frame_rate_per_s=5.0)
    assert [(c.frames, c.on_time) for c in cameras] == [(3, 3), (2, 0), (0, 0)]
    assert cameras[1].p99_s == pytest.approx(0.6, abs=1e-3)
    assert cameras[2].p99_s is None
    filming.write(tmp_path / filming.FILE, cameras)
    assert filming.read(tmp_path / filming.FILE) == cameras
    (tmp_path / filming.FILE).write_bytes(b"no table")
    with pytest.raises(StreambedError, match="not a table of cameras"):
        filming.read(tmp_path / filming.FILE)


# --- gates ----------------------------------------------------------------------------------

STORED = {
    "b1:9092": {"0": 100, "1": 100},
    "b2:9092": {"0": 100, "1": 100},
    "b3:9092": {},
}


def test_every_id_must_be_there_once() -> None:
    def reasons(**changes: Any) -> list[str]:
        given = {"sent": 9, "lost": 0, "duplicates": 0, "unknown": 0, "doubles_allowed": False}
        return failed_reasons(gates.accounted(**{**given, **changes}))

    assert not reasons()
    assert "images_lost" in reasons(lost=1)[0]
    assert "images_duplicate" in reasons(duplicates=2)[0]
    assert not reasons(duplicates=2, doubles_allowed=True)
    assert "images_unknown" in reasons(unknown=1)[0]
    assert not reasons(duplicates=None)


def test_brokers_hold_the_topic_as_placed() -> None:
    addresses = ["b1:9092", "b2:9092", "b3:9092"]
    assert gates.holders_of(addresses, partitions=1, replication=2) == {"b1:9092", "b2:9092"}
    assert gates.holders_of(addresses, partitions=4, replication=1) == set(addresses)
    two = {"b1:9092", "b2:9092"}
    assert gates.brokers_act(two, ["b1:9092"], STORED).ok
    assert gates.brokers_act(two, None, STORED).ok
    assert not gates.brokers_act(two, ["b3:9092"], STORED).ok
    assert not gates.brokers_act({"b1:9092"}, [], STORED).ok
    assert gates.replication_acts(2, STORED).ok
    assert not gates.replication_acts(3, STORED).ok


def test_partitions_are_held_and_seen() -> None:
    assert gates.partitions_act(2, STORED, [2, None]).ok
    assert not gates.partitions_act(4, STORED, [4]).ok
    assert not gates.partitions_act(2, STORED, [1]).ok


def test_each_consumer_has_all_of_its_partitions_and_no_other() -> None:
    done = {"assigned": [0, 2], "per_partition": {"0": 5, "2": 4}, "unique": 9}
    assert gates.consumers_act([done], [5, 9, 4]).ok
    assert not gates.consumers_act([{**done, "per_partition": {"0": 5, "1": 4}}], [5, 9, 4]).ok
    assert not gates.consumers_act([{**done, "per_partition": {"0": 4, "2": 4}}], [5, 9, 4]).ok
    assert not gates.consumers_act([], [5, 9, 4]).ok


def test_clients_name_themselves() -> None:
    assert gates.client_acts("kafka-python", ["kafka-python 3.0.12 (crc32c)"]).ok
    plain = ["kafka-python-plain 3.0.12 (checksum in pure Python)"]
    assert not gates.client_acts("kafka-python", plain).ok
    assert gates.client_acts("kafka-python-plain", plain).ok
    assert not gates.client_acts("java", []).ok


def test_settings_are_read_back_where_the_library_tells() -> None:
    seen = {"answered": True, "idempotent": False, "batch_bytes": 12_000.0}

    def reasons(**given: Any) -> list[str]:
        nothing = {"acks": None, "idempotence": None, "batch_bytes": None}
        return failed_reasons(gates.settings_act(**{**nothing, **given}, seen=seen))

    assert not reasons(acks="all", idempotence="off", batch_bytes=16_384)
    assert "acks_act" in reasons(acks="none")[0]
    assert "idempotence_acts" in reasons(idempotence="on")[0]
    assert "batch_acts" in reasons(batch_bytes=8_192)[0]
    assert gates.settings_act(acks="all", idempotence="on", batch_bytes=1, seen={}) == []


def test_a_fault_must_have_happened_in_mid_run() -> None:
    lives = ("process 5, restart 0", "process 9, restart 1")
    assert gates.fault_acts(*lives, killed_at=5.0, sending=(1.0, 9.0)).ok
    assert not gates.fault_acts(*lives, killed_at=9.5, sending=(1.0, 9.0)).ok
    assert not gates.fault_acts(lives[0], lives[0], killed_at=5.0, sending=(1.0, 9.0)).ok


def test_replicas_of_different_lengths_fail() -> None:
    assert gates.replicas_agree(STORED).ok
    shorter = {**STORED, "b2:9092": {"0": 99, "1": 100}}
    assert "[99, 100]" in str(gates.replicas_agree(shorter).measured)
    assert not gates.replicas_agree(shorter).ok
    assert not gates.replicas_agree({}).ok


def test_late_cameras_are_the_drivers_own() -> None:
    assert gates.cameras_on_time(0.05, 5.0).ok
    assert raised_flags([gates.cameras_on_time(0.15, 5.0)]) == ["driver_bound"]


# --- the link, where its ends have too little CPU -------------------------------------------


def goodput(measured: float) -> Reading:
    return Reading("goodput_up_before", ok=False, measured=measured, expected="956.408 within 2.0%")


def test_an_end_at_its_quota_explains_a_goodput_that_is_too_low() -> None:
    (flagged,) = linked.explained([goodput(400.0)], {"client": 0.85, "broker1": 0.3})
    assert flagged.flag == "driver_bound"
    assert "client used 85% of its CPU quota" in flagged.expected
    (failed,) = linked.explained([goodput(400.0)], {"client": 0.4, "broker1": 0.3})
    assert failed.flag is None
    (above,) = linked.explained([goodput(1200.0)], {"client": 0.9, "broker1": 0.3})
    assert above.flag is None
