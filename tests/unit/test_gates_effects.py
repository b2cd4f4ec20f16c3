"""Gate 6 and the flag `disturbed`: what was asked passes, anything else is seen."""

from typing import Any

import pytest

from streambed.gates import disturbance, effects
from streambed.gates.reading import Reading, failed_reasons, raised_flags
from streambed.pipelines import spark_conf

WORKERS = ["10.0.0.21", "10.0.0.22"]
CLOUD, CLIENT = "10.0.0.12:9092", "10.0.0.11:9092"
STORED = {CLOUD: {"0": 396_000, "1": 396_000}}


def broker(**change: Any) -> Reading:
    seen: dict[str, Any] = {"producer": [CLOUD], "spark": [CLOUD], "stored_bytes": STORED} | change
    return effects.broker_acts([CLOUD], **seen)


def test_the_broker_that_was_asked_for_passes() -> None:
    assert broker().ok
    assert broker(stored_bytes=STORED | {CLIENT: {}}).ok  # it runs, but holds nothing


@pytest.mark.parametrize(
    "change",
    [
        {"producer": [CLIENT]},
        {"producer": []},
        {"spark": [CLOUD, CLIENT]},
        {"stored_bytes": {CLIENT: {"0": 1}}},
        {"stored_bytes": {CLOUD: {}}},
    ],
)
def test_another_broker_is_seen(change: dict[str, Any]) -> None:
    assert not broker(**change).ok


def test_another_library_is_seen() -> None:
    assert effects.producer_acts("kafka-python", "kafka-python 3.0.12").ok
    assert not effects.producer_acts("kafka-python", "confluent-kafka 2.16.1 (librdkafka 2)").ok


def batches(*ends: dict[str, int] | None) -> list[dict[str, Any]]:
    return [{"end_offsets": end} for end in ends]


def test_every_partition_must_be_written_and_read() -> None:
    both = batches(None, {"0": 10, "1": 0}, {"0": 20, "1": 10})
    assert effects.partitions_act(2, 2, both, images=1000).ok
    assert not effects.partitions_act(2, 1, both, images=1000).ok
    assert not effects.partitions_act(2, 2, batches({"0": 20, "1": 0}), images=1000).ok
    assert not effects.partitions_act(1, 1, both, images=1000).ok
    assert effects.partitions_act(16, 16, batches({"0": 5, "1": 5}), images=10).ok


def test_a_codec_must_save_bytes_and_none_must_not() -> None:
    def acts(codec: str, stored: dict[str, dict[str, int]]) -> bool:
        return effects.compression_acts(codec, stored, images=1000, image_bytes=792).ok

    packed = {CLOUD: {"0": 90_000, "1": 90_000}}
    assert acts("none", STORED)
    assert acts("zstd", packed)
    assert not acts("zstd", STORED)
    assert not acts("none", packed)
    assert not acts("lz4", {})


def test_replicas_are_not_counted_as_images() -> None:
    copies = {f"10.0.0.{node}:9092": {"0": 90_000, "1": 90_000} for node in (1, 2, 3)}
    reading = effects.compression_acts("lz4", copies, images=1000, image_bytes=792)
    assert reading.measured == pytest.approx(180_000 / 792_000, abs=1e-4)


def test_the_offered_rate_is_what_was_sent_within_one_percent() -> None:
    assert effects.offered_rate_acts(1000, 10_001, 10.0).ok
    assert not effects.offered_rate_acts(1000, 10_001, 10.2).ok
    assert not effects.offered_rate_acts(1000, 1, 0.0).ok


def test_another_model_or_two_are_seen() -> None:
    assert effects.model_acts("ab", ["ab"]).ok
    assert not effects.model_acts("ab", ["cd"]).ok
    assert not effects.model_acts("ab", ["ab", "cd"]).ok
    assert not effects.model_acts("ab", []).ok


def test_another_conversion_is_seen() -> None:
    assert effects.conversion_acts("rows", ["rows"]).ok
    assert not effects.conversion_acts("rows", ["arrow"]).ok
    assert not effects.conversion_acts("rows", ["arrow", "rows"]).ok
    assert not effects.conversion_acts("arrow", []).ok


def test_spark_must_have_all_lean_settings_or_none() -> None:
    some = dict(list(spark_conf.LEAN_ONLY.items())[:1])
    assert effects.spark_settings_act("lean", spark_conf.LEAN_ONLY | {"spark.x": "1"}).ok
    assert not effects.spark_settings_act("lean", some).ok
    assert not effects.spark_settings_act("plain", some).ok
    assert effects.spark_settings_act("plain", {"spark.x": "1"}).ok


def test_a_batch_without_a_report_fails_the_cell() -> None:
    assert not failed_reasons([effects.batches_reported([])])
    assert failed_reasons([effects.batches_reported([4])])


SHOWN = """MainPID=17
NRestarts=0
Id=kafka.service
LoadState=loaded

MainPID=0
NRestarts=0
Id=spark-master.service
LoadState=not-found
"""


def test_what_runs_is_read_unit_by_unit() -> None:
    assert disturbance.parse("cloud", SHOWN) == {"cloud kafka": "process 17, restart 0"}


def test_peace_raises_no_flag_and_each_death_does() -> None:
    before = disturbance.parse("cloud", SHOWN)
    after = disturbance.parse("cloud", SHOWN.replace("MainPID=17", "MainPID=99"))
    one, other = executors(WORKERS[0]), {"1": {"host": WORKERS[0], "cores": 2}}
    assert raised_flags([disturbance.judge(before, before, one, one, 0)]) == []
    deaths = [
        disturbance.judge(before, after, one, one, 0),
        disturbance.judge(before, {}, one, one, 0),
        disturbance.judge(before, before, one, other, 0),
        disturbance.judge(before, before, one | other, one, 0),
        disturbance.judge(before, before, one, one, 3),
    ]
    for reading in deaths:
        assert raised_flags([reading]) == ["disturbed"]


def test_a_dead_worker_is_named_by_its_node() -> None:
    both, new = executors(*WORKERS[:2]), {"2": {"host": WORKERS[0], "cores": 2}}
    reading = disturbance.judge({}, {}, both, executors(WORKERS[0]) | new, 0)
    assert (
        reading.measured == f"executor 1 on {WORKERS[1]} is gone; executor 2 on {WORKERS[0]} is new"
    )


def executors(*hosts: str, cores: int = 2) -> dict[str, dict[str, Any]]:
    return {str(number): {"host": host, "cores": cores} for number, host in enumerate(hosts)}


def test_each_worker_in_use_has_one_executor_and_classifies() -> None:
    acts = effects.workers_act
    assert acts(WORKERS, executors(*WORKERS), WORKERS, at_least=4).ok
    # One partition is one task: who gets it is Spark's business.
    assert acts(WORKERS, executors(*WORKERS), WORKERS[1:], at_least=1).ok


@pytest.mark.parametrize(
    ("hosts", "worked"),
    [
        (WORKERS[:1], WORKERS),
        ([WORKERS[0], WORKERS[0]], WORKERS),
        ([*WORKERS, "10.0.0.23"], WORKERS),
        (WORKERS, WORKERS[:1]),
        (WORKERS, [*WORKERS, "10.0.0.23"]),
        (WORKERS, [*WORKERS, "unknown"]),
        ([], []),
    ],
)
def test_other_workers_than_asked_for_are_seen(hosts: list[str], worked: list[str]) -> None:
    assert failed_reasons([effects.workers_act(WORKERS, executors(*hosts), worked, at_least=4)])


def test_threads_are_what_spark_gives_each_executor() -> None:
    assert effects.threads_act(2, executors(*WORKERS)).ok
    assert not effects.threads_act(1, executors(*WORKERS)).ok
    assert not effects.threads_act(2, executors(WORKERS[0]) | {"9": {"host": "x", "cores": 1}}).ok
    assert not effects.threads_act(2, {}).ok


def test_pages_are_served_and_logged_or_neither() -> None:
    names = ("spark.ui.enabled", "spark.eventLog.enabled")
    assert effects.spark_pages_act("on", dict.fromkeys(names, "true")).ok
    assert effects.spark_pages_act("off", dict.fromkeys(names, "false")).ok
    assert not effects.spark_pages_act("off", dict.fromkeys(names, "true")).ok
    assert not effects.spark_pages_act("on", {names[0]: "true"}).ok


def test_calls_are_told_by_their_records() -> None:
    chunks = [(0, 0, 2000), (0, 0, 17), (0, 1, 2000)]
    assert effects.calls_act("chunked", chunks).ok
    assert not effects.calls_act("chunked", [*chunks, (1, 0, 2001)]).ok
    assert not effects.calls_act("one_per_batch", chunks).ok
    # 40,000 images fit a message; a larger call leaves more records.
    assert effects.calls_act("one_per_batch", [(0, 0, 40_000), (0, 0, 5), (0, 1, 9)]).ok
    for calls in ("chunked", "one_per_batch"):
        assert not effects.calls_act(calls, []).ok
