"""Node programs of study B: accounts, Java's lines, cameras, profiles, what libraries tell."""

import subprocess
import sys
import threading
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from streambed.pipelines import cameras as program
from streambed.pipelines import pacing, perf, produce, read, readers, senders, topics
from streambed.pipelines.account import Account
from streambed.pipelines.datasets import Dataset
from streambed.pipelines.errors import ServiceError
from streambed.pipelines.protocol import Commands
from streambed.pipelines.read import Reading, ReadSpec
from streambed.pipelines.readers import Fetched
from streambed.pipelines.replicas import missing_of
from streambed.pipelines.sender_confluent import requests_of as of_librdkafka
from streambed.pipelines.sender_kafka_python import requests_of as of_kafka_python
from streambed.pipelines.senders import Requests
from streambed.pipelines.thread_profile import ThreadProfile, activity

APP = Path(__file__).resolve().parents[2] / "app"


def fetched(ids: list[int], partition: int = 0, timestamps: bool = False) -> Fetched:
    return Fetched(
        keys=[number.to_bytes(8) for number in ids],
        partitions=[partition] * len(ids),
        timestamps_ms=ids if timestamps else [],
        value_bytes=10 * len(ids),
    )


# --- accounts -------------------------------------------------------------------------------


def test_every_id_is_counted_once_and_others_apart() -> None:
    account = Account(first_id=100, count=10)
    account.add(fetched([100, 101, 101]))
    account.add(fetched([101, 109], partition=3))
    account.add(fetched([99, 110, 5]))
    assert (account.records, account.unique, account.duplicates) == (5, 3, 2)
    assert account.unknown == 3
    assert account.per_partition == {0: 6, 3: 2}
    assert account.value_bytes == 80


@pytest.mark.parametrize(("count", "partitions"), [(1000, 1), (1000, 3), (129, 16), (7, 16)])
def test_images_of_partitions_are_those_that_are_sent_there(count: int, partitions: int) -> None:
    block = 13
    sent = [pacing.partition_of(i, block, partitions) for i in range(count)]
    expected = [sent.count(number) for number in range(partitions)]
    assert pacing.images_of_partitions(count, block, partitions) == expected


class Canned:
    """A reader that has what it is given, then nothing."""

    client = "canned 1"

    def __init__(self, *batches: Fetched) -> None:
        self._batches = list(batches)

    def topic_partitions(self) -> int:
        return 1

    def assigned(self) -> list[int]:
        return [0]

    def fetch(self, timeout_s: float) -> Fetched | None:
        if self._batches:
            return self._batches.pop(0)
        time.sleep(min(timeout_s, 0.01))
        return None

    def close(self) -> None:
        pass


def reading(spec: dict[str, Any], *batches: Fetched) -> Reading:
    base = {"bootstrap": "b", "topic": "t", "partitions": [0], "count": 10}
    return Reading(ReadSpec(**{**base, **spec}), Canned(*batches))


def test_a_consumer_ends_when_all_is_there_and_counts_what_still_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("streambed.pipelines.read.QUIET_S", 0.05)
    events: list[dict[str, Any]] = []
    monkeypatch.setattr(
        "streambed.pipelines.read.emit", lambda name, **told: events.append({"event": name, **told})
    )
    run = reading({"expect": 3}, fetched([0, 1, 2]), fetched([2]))
    run.run(Commands())
    assert run.complete_at is not None
    assert (run.account.unique, run.account.duplicates) == (3, 1)
    assert sum(event["images"] for event in events if event["event"] == "sample") == 4


def test_a_consumer_without_news_gives_up_and_tells_what_it_lacks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader = Canned(fetched([0, 2]))
    monkeypatch.setattr(readers, "create", lambda *_, **__: reader)
    events: dict[str, dict[str, Any]] = {}
    monkeypatch.setattr(
        "streambed.pipelines.read.emit", lambda name, **told: events.update({name: told})
    )
    commands = Commands()
    monkeypatch.setattr(commands, "wait", lambda *_: True)
    spec = {"bootstrap": "b", "topic": "t", "partitions": [0], "count": 3, "expect": 3}
    read.program({**spec, "give_up_s": 0.02}, commands)
    done = events["done"]
    assert (done["gave_up"], done["complete_at"]) == (True, None)
    assert (done["expected"], done["unique"], done["per_partition"]) == (3, 2, {"0": 2})


def test_raw_times_are_kept_in_the_order_of_arrival(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streambed.pipelines.read.QUIET_S", 0.02)
    path = tmp_path / "raw.npz"
    run = reading(
        {"expect": 3, "raw_path": str(path)},
        fetched([2, 0], timestamps=True),
        fetched([1], timestamps=True),
    )
    run.run(Commands())
    assert run.raw is not None
    run.raw.save(path)
    with np.load(path) as arrays:
        assert arrays["image_id"].tolist() == [2, 0, 1]
        assert arrays["intended_ms"].tolist() == [2, 0, 1]
        assert np.all(np.diff(arrays["received_at"]) >= 0)


@pytest.mark.parametrize("spec", [{"expect": 11}, {"expect": 1, "client": "java"}])
def test_a_consumer_refuses_what_cannot_be(spec: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"expect|client"):
        reading(spec)


# --- Java's tools ---------------------------------------------------------------------------

PRODUCER_LINES = """\
Reading payloads from: /tmp/payloads
12000 records sent, 48000.0 records/sec (35.89 MB/sec), 3.1 ms avg latency, 21.0 ms max latency.
9000 records sent, 36000.0 records/sec (26.92 MB/sec), 3.1 ms avg latency, 20.0 ms max latency.
25000 records sent, 41000.5 records/sec (30.66 MB/sec), 3.00 ms avg latency, 21.00 ms max latency, \
2 ms 50th, 9 ms 95th, 30 ms 99th, 200 ms 99.9th.
22500 steady state records sent, 44000.1 records/sec (32.90 MB/sec), 3.00 ms avg latency, \
20.00 ms max latency, 2 ms 50th, 9 ms 95th, 30 ms 99th, 200 ms 99.9th.
producer-metrics:records-per-request-avg:{client-id=perf-producer-client}          : 55.250
producer-metrics:batch-size-avg:{client-id=perf-producer-client}                   : NaN
"""

CONSUMER_LINES = """\
2026-11-21 20:00:00:250, 0, 3.7384, 14.9536, 5000, 20000.0000, 0, 250, 14.9536, 20000.0000
2026-11-21 20:00:00:500, 0, 7.4768, 14.9536, 10000, 20000.0000, 0, 250, 14.9536, 20000.0000
consumer-fetch-manager-metrics:fetch-latency-avg:{client-id=c} : 4.100
"""


def test_the_producers_lines_add_up_to_its_total() -> None:
    said = perf.Said()
    steps = [said.line("produce", line) for line in PRODUCER_LINES.splitlines()]
    assert [step for step in steps if step] == [12_000, 9_000, 4_000]
    assert said.images == 25_000
    assert said.tool_rate_per_s == 44_000.1
    assert said.metrics == {"records-per-request-avg": 55.25}


def test_the_consumers_lines_count_up() -> None:
    said = perf.Said()
    steps = [said.line("consume", line) for line in CONSUMER_LINES.splitlines()]
    assert steps == [5_000, 5_000, 0]
    assert not said.gave_up
    said.line("consume", "WARNING: Exiting before consuming the expected number of records")
    assert said.gave_up


def test_payloads_are_lines_of_an_images_size(tmp_path: Path) -> None:
    images = np.arange(0, 256, dtype=np.uint8).reshape(4, 8, 8)
    path = tmp_path / "payloads"
    perf.payload_file(Dataset(images, np.zeros(4, np.int32)), path)
    lines = path.read_bytes().split(b"\n")[:-1]
    assert [len(line) for line in lines] == [64] * 4


def test_tools_are_called_with_their_own_options() -> None:
    spec = perf.PerfSpec(
        *("produce", "plaintext://b:9095", "t", 100),
        warm_up=10,
        properties={"acks": "all", "linger.ms": 5},
    )
    argv = perf.command(spec, Path("/p"))
    assert argv[argv.index("--command-property") :] == [
        *("--command-property", "acks=all", "linger.ms=5")
    ]
    assert argv[argv.index("--warmup-records") + 1] == "10"
    assert argv[argv.index("--bootstrap-server") + 1] == "b:9095"
    reading_argv = perf.command(perf.PerfSpec("consume", "plaintext://b:9095", "t", 100), None)
    assert "--show-detailed-stats" in reading_argv
    assert "--command-config" not in reading_argv
    assert "--payload-file" not in reading_argv


# --- what libraries tell --------------------------------------------------------------------


def test_librdkafka_counts_its_requests() -> None:
    statistics = {
        "txmsgs": 1000,
        "brokers": {
            "b:9092/1": {"rx": 12, "req": {"Produce": 8, "Metadata": 1}},
            "b2:9092/2": {"rx": 2, "req": {"Produce": 2}},
        },
        "topics": {"t": {"batchsize": {"avg": 8_000, "cnt": 4}}},
        "eos": {"producer_id": 77},
    }
    assert of_librdkafka(statistics, "t", Requests()) == Requests(100.0, 8_000, True, True)
    quiet: dict[str, Any] = {**statistics, "topics": {}, "eos": {}}
    quiet["brokers"] = {"b": {"rx": 1, "req": {"Produce": 10}}}
    before = Requests(batch_bytes=5.0)
    assert of_librdkafka(quiet, "t", before) == Requests(100.0, 5.0, False, False)
    idle = {**statistics, "brokers": {"b": {"rx": 1, "req": {}}}}
    assert of_librdkafka(idle, "t", before) is before


def test_kafka_pythons_averages_may_be_missing() -> None:
    metrics = {
        "producer-metrics": {"records-per-request-avg": 19.5, "batch-size-avg": float("nan")}
    }
    assert of_kafka_python(metrics) == Requests(19.5, None)
    assert of_kafka_python({}) == Requests()


def test_without_its_extra_a_library_cannot_be_told_that_it_has_one() -> None:
    """In a process of its own: what is imported stays."""
    code = (
        "from streambed.pipelines import checksum; checksum.without_extra()\n"
        "try:\n    import crc32c\nexcept ImportError:\n    print('gone')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(APP)},
    )
    assert done.stdout == "gone\n"


# --- profiles -------------------------------------------------------------------------------


def test_files_and_functions_have_activities() -> None:
    site = "/opt/streambed/venv/lib/python3.11/site-packages"
    assert activity(f"{site}/kafka/record/_crc32c.py", "crc_update") == "checksum"
    assert activity(f"{site}/kafka/record/util.py", "calc_crc32c") == "checksum"
    assert activity(f"{site}/kafka/record/util.py", "encode_varint") == "record batches"
    assert activity(f"{site}/kafka/producer/sender.py", "run_once") == "queue and sender"
    assert activity("/opt/streambed/app/streambed/pipelines/produce.py", "_send") == "benchmark"
    assert activity("/usr/lib/python3.11/selectors.py", "select") == "Python's library"
    assert activity("/usr/lib/python3.11/ssl.py", "send") == "encryption"
    sender = "/opt/streambed/app/streambed/pipelines/sender_confluent.py"
    assert activity(sender, "_queued") == "library, called"
    assert activity(sender, "_delivered") == "benchmark"


def test_time_is_put_down_to_the_thread_that_used_it() -> None:
    stop = threading.Event()

    def spin() -> None:
        while not stop.is_set():
            sum(range(500))

    with ThreadProfile(every_s=0.005) as profile:
        worker = threading.Thread(target=spin, name="spinning")
        worker.start()
        time.sleep(0.3)
        stop.set()
        worker.join()
    found = profile.result()
    assert found["functions"][0]["thread"] == "spinning"
    assert found["functions"][0]["function"] == "spin"
    known_s = sum(found["activities_s"].values())
    assert known_s + found["other_s"] + found["sampler_s"] == pytest.approx(
        found["cpu_s"], abs=0.05
    )


def test_the_loop_alone_is_cheap_and_measured() -> None:
    spec = produce.ProduceSpec("b:9092", "t", 10)
    assert 0 < produce._own_cost_s(spec, [b"x" * 784] * 10) < 100e-6


# --- cameras --------------------------------------------------------------------------------


class Camera:
    """A sender that keeps what it is told."""

    client = "kept 1"

    def __init__(self) -> None:
        self.tally = senders.Tally()
        self.sent: list[tuple[int, int, int]] = []

    def requests(self) -> Requests:
        return Requests()

    def leaders(self) -> list[str]:
        return ["b:9092"]

    def partitions(self) -> int:
        return 2

    def send(
        self,
        value: bytes,
        key: bytes,
        partition: int,
        timestamp_ms: int,
        on_ack: senders.OnAck | None = None,
    ) -> None:
        self.sent.append((int.from_bytes(key), partition, timestamp_ms))
        assert on_ack is not None
        on_ack(time.time())
        self.tally.sent += 1
        self.tally.acked += 1

    def idle(self, seconds: float) -> None:
        pass

    def finish(self) -> None:
        pass


def test_each_camera_sends_its_frames_in_order_and_on_time() -> None:
    spec = program.CamerasSpec("b", "t", cameras=3, frames=4, frame_rate_per_s=50.0)
    clients = [Camera() for _ in range(3)]
    filming = program.Filming(spec, [b"image"], clients)
    filming.run(Commands())
    for number, client in enumerate(clients):
        assert [frame for frame, _, _ in client.sent] == [number + 3 * k for k in range(4)]
        assert {partition for _, partition, _ in client.sent} == {number % 2}
    due = sorted(ms for client in clients for _, _, ms in client.sent)
    assert due[-1] - due[0] == pytest.approx(11 / 150 * 1000, abs=2)
    assert list(filming.acks.image_id) == list(range(12))
    assert len(filming.late_s) == 12


def test_cameras_may_share_one_client() -> None:
    shared = Camera()
    spec = program.CamerasSpec("b", "t", cameras=4, frames=2, frame_rate_per_s=100.0)
    program.Filming(spec, [b"image"], [shared]).run(Commands())
    assert [frame for frame, _, _ in shared.sent] == list(range(8))


# --- topics and replicas --------------------------------------------------------------------


def test_replicas_go_to_brokers_in_turn() -> None:
    topic = topics.NewTopic("t", partitions=4, replication=2, brokers=["a:1", "b:1", "c:1"])
    assert topics.assignment(topic, [7, 8, 9]) == [[7, 8], [8, 9], [9, 7], [7, 8]]
    with pytest.raises(ServiceError, match="replication 2 on 1 brokers"):
        topics.assignment(topic, [7])


def metadata(isrs: list[int], leader: int = 1) -> Any:
    brokers = {n: SimpleNamespace(host="10.0.0.1", port=9090 + n) for n in (1, 2)}
    partition = SimpleNamespace(leader=leader, replicas=[1, 2], isrs=isrs)
    topic = SimpleNamespace(partitions={0: partition})
    return SimpleNamespace(brokers=brokers, topics={"t": topic})


def test_what_is_not_in_sync_is_named() -> None:
    both = ["10.0.0.1:9091", "10.0.0.1:9092"]
    assert missing_of(metadata([1, 2]), "t", both) == []
    assert missing_of(metadata([1]), "t", both) == ["partition 0 lacks broker 2"]
    assert missing_of(metadata([1, 2], leader=-1), "t", both) == ["partition 0 lacks broker any"]
    assert missing_of(metadata([1, 2]), "t", [*both, "10.0.0.3:1"]) == ["10.0.0.3:1 is no member"]


# --- what a library refuses -----------------------------------------------------------------


class Refuses(Exception):
    """Stands for the errors of both libraries."""


LIBRDKAFKAS = SimpleNamespace(str=lambda: "linger.ms: 1e6 is out of range")


def library(monkeypatch: pytest.MonkeyPatch, producer: Any) -> None:
    """Both libraries, as far as a sender asks for them."""
    fakes: dict[str, dict[str, Any]] = {
        "kafka": {"KafkaProducer": producer, "TopicPartition": tuple},
        "kafka.errors": {"KafkaError": Refuses, "KafkaConfigurationError": ZeroDivisionError},
        "confluent_kafka": {"KafkaException": Refuses, "Producer": producer},
    }
    for name, attributes in fakes.items():
        module = ModuleType(name)
        vars(module).update(attributes)
        monkeypatch.setitem(sys.modules, name, module)


def sender(name: str) -> senders.Sender:
    return senders.create(name, "plaintext://10.0.0.9:9095", "t", senders.SenderConfig(), 1.0)


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("confluent-kafka", Refuses(LIBRDKAFKAS), "refuses its settings: linger.ms"),
        ("kafka-python", ZeroDivisionError("acks=1"), "refuses its settings: acks=1"),
        ("kafka-python", Refuses("no time"), "does not answer at 10.0.0.9:9095: no time"),
    ],
)
def test_what_a_library_refuses_is_told_in_words(
    name: str, error: Exception, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def producer(*_: Any, **__: Any) -> None:
        raise error

    library(monkeypatch, producer)
    with pytest.raises(ServiceError, match=words):
        sender(name)


def test_a_producer_that_gives_up_names_the_broker_it_could_not_reach(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: dict[str, Any] = {}

    class Producer:
        def __init__(self, settings: dict[str, Any]) -> None:
            given.update(settings)

        def produce(self, *_: Any, **__: Any) -> None:
            raise BufferError

        def poll(self, _timeout_s: float) -> None:
            said = ("10.0.0.9:9095/3: Connect failed: refused", "3/3 brokers are down")
            for code, text in enumerate(said):
                given["error_cb"](
                    SimpleNamespace(
                        code=lambda c=code: c, str=lambda t=text: t, _ALL_BROKERS_DOWN=1
                    )
                )

        def flush(self, _timeout_s: float) -> None:
            pass

    library(monkeypatch, Producer)
    slow = senders.create("confluent-kafka", "plaintext://b:1", "t", senders.SenderConfig(), 0.01)
    with pytest.raises(ServiceError, match=r"slower than expected \(10.0.0.9:9095/3: Connect fa"):
        slow.send(b"v", b"k", 0, 1)
    slow.tally.sent = 1
    slow.finish()
    assert slow.tally.first_failure == (
        "not acknowledged in time (10.0.0.9:9095/3: Connect failed: refused)"
    )


def test_a_topic_that_kafka_python_cannot_reach_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Producer:
        def __init__(self, **_: Any) -> None:
            self._metadata = None

        def partitions_for(self, topic: str) -> set[int]:
            raise Refuses(f"Failed to update metadata of {topic}")

    library(monkeypatch, Producer)
    asked = sender("kafka-python")
    for ask in (asked.partitions, asked.leaders):
        with pytest.raises(ServiceError, match=r"Kafka does not answer at 10.0.0.9:9095"):
            ask()
