"""Each gate bites: what is wrong behind the runner's back ends in a row that says so."""

import json
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.system.tools import Bed, line_with, rows, start, until

# A short cell with a link that leaves the machine idle.
CELL = ("--set", "bandwidth=20 Mbit/s")
BACKLOG = "/opt/streambed/app/streambed/pipelines/backlog.py"


def _sabotaged(
    bed: Bed, results: Path, act: Callable[[], object], *options: str, trigger: str = "1 s"
) -> dict[str, Any]:
    """Run one cell, act while images are being classified, and return its first attempt's row."""
    cell = (*CELL, "--set", f"trigger={trigger}", *options)
    # Looking at a node costs the host some CPU time: that must not make it a cell to repeat.
    experiment = bed.patient("small", contended_above="90 %")
    command = ("run", experiment, "-i", bed.path, "--results", str(results), *cell)
    with start(*command) as running:
        try:
            line_with(running, "classifying\n")  # and not every image offline
            act()
            assert running.stderr is not None
            said = running.stderr.read()
            assert "Traceback" not in said, said
            running.wait(300)
        finally:
            running.kill()
    # A cell that others disturbed is repeated, and nobody acts on its second attempt.
    return min(rows(results, "small", "--all"), key=lambda row: row["attempt"])


def test_another_rate_set_in_mid_cell_fails_the_goodput(bed: Bed, tmp_path: Path) -> None:
    faster = (
        "tc class change dev eth0 parent 1: classid 1:10 htb "
        "rate 24mbit ceil 24mbit burst 15000 cburst 15000 quantum 1514"
    )
    row = _sabotaged(bed, tmp_path, lambda: bed.root("client", faster))
    assert row["status"] == "failed"
    assert not row["gates"]["goodput_up_after"]["ok"]
    assert row["gates"]["goodput_down_after"]["ok"]
    assert "goodput_up_after" in row["reason"]


def _on_results(code: str) -> str:
    """Code on the broker's node with `topic`, `consumer` and `address` of the cell under way."""
    return textwrap.dedent(
        """
        import sys, time
        from confluent_kafka import Consumer, Producer, TopicPartition, OFFSET_BEGINNING
        from confluent_kafka.admin import AdminClient
        from streambed.pipelines.kafka_access import ADMIN, CLASSIFIER, PRODUCER, of
        from streambed.pipelines.records import decode
        address = sys.argv[1] + ":9092"
        account = of(address, ADMIN).librdkafka()
        admin = AdminClient(account)
        (topic,) = [t for t in admin.list_topics().topics if t.startswith("streambed-results-")]
        consumer = Consumer({**account, "group.id": "streambed-sabotage"})
        """
    ) + textwrap.dedent(code)


def test_a_dropped_result_is_lost(bed: Bed, tmp_path: Path) -> None:
    """Records are deleted from the topic while the collector is frozen."""
    broker = bed.inventory.node("cloud")

    def drop() -> None:
        pid = until(lambda: bed.program_pid("cloud", "collect"), "the collector")
        bed.root("cloud", f"kill -STOP {pid}")
        try:
            code = _on_results("""
                begin = consumer.get_watermark_offsets(TopicPartition(topic, 0))[1]
                end = begin
                while end < begin + 3:
                    time.sleep(0.1)
                    end = consumer.get_watermark_offsets(TopicPartition(topic, 0))[1]
                (done,) = admin.delete_records([TopicPartition(topic, 0, end)]).values()
                done.result()
            """)
            bed.python("cloud", code, broker.bed_address)
        finally:
            bed.root("cloud", f"kill -CONT {pid}")

    row = _sabotaged(bed, tmp_path, drop)
    assert row["status"] == "failed"
    assert row["lost"] > 0
    assert "images_lost" in row["reason"]


def test_a_doubled_result_is_counted_and_fails(bed: Bed, tmp_path: Path) -> None:
    broker = bed.inventory.node("cloud")
    code = _on_results("""
        consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
        while True:
            message = consumer.poll(30)
            record = decode(message.value())
            if record.ids[0] < 1 << 62:  # not a warm-up image
                break
        producer = Producer(of(address, CLASSIFIER).librdkafka())
        producer.produce(topic, message.value())
        assert producer.flush(30) == 0
    """)
    row = _sabotaged(bed, tmp_path, lambda: bed.python("cloud", code, broker.bed_address))
    assert row["status"] == "failed"
    assert row["duplicates"] > 0
    assert row["lost"] == 0
    assert "results_duplicate" in row["reason"]


MALFORMED = ("b'x' * 5", "b''", "None", *["b'x' * 15_000_000"] * 40)
"""Values that are no images. All the large ones together would fill a Python worker's memory."""


def test_malformed_records_are_set_aside_and_the_stream_goes_on(bed: Bed, tmp_path: Path) -> None:
    """In a cell whose images come without encryption, so that this is proved to act, too."""
    broker = bed.inventory.node("cloud")
    code = _on_results(f"""
        images = topic.replace("-results-", "-images-")
        large = {{"message.max.bytes": 16_000_000, "compression.type": "zstd"}}
        producer = Producer({{**of(address, PRODUCER).librdkafka(), **large}})
        key = (1 << 61).to_bytes(8, "big")
        for value in ({", ".join(MALFORMED)}):
            producer.produce(images, value=value, key=key)
        producer.produce(images, value=bytes(784), key=b"no id")
        producer.produce(images, value=bytes(784), key=key, headers={{"unknown": b"x"}})
        assert producer.flush(30) == 0
    """)

    def send() -> None:
        bed.python("cloud", code, broker.bed_address)

    row = _sabotaged(bed, tmp_path, send, "--set", "plaintext=on")
    assert row["set_aside"] == len(MALFORMED) + 2, row["reason"]
    (kept,) = tmp_path.rglob("dead-letters.jsonl")
    reasons = [json.loads(line)["reason"] for line in kept.read_text().splitlines()]
    assert sum("size" in reason for reason in reasons) == len(MALFORMED) - 2
    assert len(reasons) == len(MALFORMED) + 2
    assert (row["lost"], row["duplicates"], row["mismatches"]) == (0, 0, 0)
    assert row["gates"]["plaintext_acts"]["ok"]
    assert ":9095" in row["gates"]["broker_acts"]["measured"]
    assert bed.root("cloud", "streambed-plaintext status || true").strip() == "closed"


LIAR = '''
"""A model that is right offline and swaps a label now and then inside Spark."""
import sys
import numpy as np


class Liar:
    def __init__(self, weights):
        self._in_spark = "pyspark" in sys.modules

    def predict(self, images):
        labels = images.reshape(len(images), -1).sum(axis=1, dtype=np.int64) % 10
        if self._in_spark:
            labels[0] = (labels[0] + 1) % 10
        return labels.astype(np.int32)
'''


def test_a_swapped_label_is_seen_against_the_offline_reference(bed: Bed, tmp_path: Path) -> None:
    model = tmp_path / "liar.py"
    model.write_text(LIAR)
    weights = tmp_path / "none.npz"
    weights.write_bytes(b"")
    options = ("--set", f"model={model}:Liar", "--set", f"weights={weights}")
    row = _sabotaged(bed, tmp_path, lambda: None, *options)
    assert row["status"] == "failed"
    assert row["mismatches"] > 0
    assert "labels_as_offline" in row["reason"]


BREAK = "/run/streambed-break"
BREAKS = f'''
"""Models that are well offline and fail inside Spark: at once, or from a sign on in three ways."""
import os
import sys
import numpy as np


class Breaks:
    def __init__(self, weights):
        self._in_spark = "pyspark" in sys.modules
        self._calls = 0

    def predict(self, images):
        labels = images.reshape(len(images), -1).sum(axis=1, dtype=np.int64) % 10
        if self._in_spark and os.path.exists("{BREAK}"):
            self._calls += 1
            if self._calls % 4 == 1:
                raise RuntimeError("no such layer")
            if self._calls % 4 == 2:
                return labels[:-1]
            if self._calls % 4 == 3:
                sys.exit(3)
        return labels.astype(np.int32)


class BreaksAtOnce(Breaks):
    def __init__(self, weights):
        super().__init__(weights)
        if self._in_spark:
            raise RuntimeError("no such file")
'''


def _breaking(folder: Path, name: str) -> tuple[str, ...]:
    model, weights = folder / "breaks.py", folder / "none.npz"
    model.write_text(BREAKS)
    weights.write_bytes(b"")
    return ("--set", f"model={model}:{name}", "--set", f"weights={weights}")


def test_images_that_a_model_fails_on_are_set_aside_and_the_rest_goes_on(
    bed: Bed, tmp_path: Path
) -> None:
    """It raises, returns too few labels, ends its process; every fourth call is well."""
    options = _breaking(tmp_path, "Breaks")
    try:
        row = _sabotaged(bed, tmp_path, lambda: bed.root("cloud", f"touch {BREAK}"), *options)
    finally:
        bed.root("cloud", f"rm -f {BREAK}")
    assert row["status"] == "failed"
    assert 0 < row["lost"] < row["images"]
    assert (row["set_aside"], row["mismatches"]) == (row["lost"], 0)
    for reason in ("no such layer", "predict gave shape", "SystemExit(3)"):
        assert reason in row["gates"]["images_lost"]["measured"], row["reason"]


def test_a_model_that_cannot_be_built_in_spark_ends_its_cell_with_the_reason(
    bed: Bed, tmp_path: Path
) -> None:
    options = (*CELL, "--set", "trigger=1 s", *_breaking(tmp_path, "BreaksAtOnce"))
    with start("run", bed.small, "-i", bed.path, "--results", str(tmp_path), *options) as running:
        try:
            assert running.stderr is not None
            running.stderr.read()
            assert running.wait(300) != 0
        finally:
            running.kill()
    (row,) = rows(tmp_path, "small", "--all")
    assert row["status"] == "failed"
    assert "RuntimeError('no such file')" in row["reason"]


@pytest.fixture
def deaf_to_the_trigger(bed: Bed) -> Iterator[None]:
    """A classifier on the node that fires five times as often as it is told."""
    bed.root("cloud", f"cp --preserve=all {BACKLOG} /root/backlog.py")
    bed.root("cloud", f"sed -i 's/trigger_s \\* 1000/trigger_s * 200/' {BACKLOG}")
    assert "* 200" in bed.root("cloud", f"cat {BACKLOG}")
    yield
    bed.root("cloud", f"cp --preserve=all /root/backlog.py {BACKLOG}; rm /root/backlog.py")


@pytest.mark.usefixtures("deaf_to_the_trigger")
def test_a_trigger_that_does_not_act_fails(bed: Bed, tmp_path: Path) -> None:
    # At 2 s there is time to spare for batches in between.
    row = _sabotaged(bed, tmp_path, lambda: None, trigger="2 s")
    assert row["status"] == "failed"
    assert not row["gates"]["trigger_acts"]["ok"]


def test_a_producer_that_starves_is_flagged(bed: Bed, tmp_path: Path) -> None:
    """It had headroom when it was probed, and is then kept from its processor half of the time."""

    def starve() -> None:
        pid = until(lambda: bed.program_pid("client", "produce"), "the producer")
        bed.root(
            "client",
            f"for i in 1 2 3 4; do kill -STOP {pid}; sleep 1.5; kill -CONT {pid}; sleep 1; done",
        )

    row = _sabotaged(bed, tmp_path, starve)
    assert "driver_bound" in row["flags"]
    assert not row["gates"]["driver_filled_link"]["ok"]


def test_an_executor_that_dies_is_flagged(bed: Bed, tmp_path: Path) -> None:
    """Spark starts another and repeats the task: the images come out, but not in peace."""

    def kill() -> None:
        time.sleep(3)  # some batches have gone through it
        bed.root("cloud", "kill -9 $(pgrep -o -f '[C]oarseGrainedExecutorBackend')")

    row = _sabotaged(bed, tmp_path, kill)
    assert "disturbed" in row["flags"]
    assert not row["gates"]["nothing_died"]["ok"]
    assert row["lost"] == 0


@pytest.fixture
def packs_nothing(bed: Bed) -> Iterator[None]:
    """A producer on the node that sends without the codec it is told to use."""
    sender = "/opt/streambed/app/streambed/pipelines/sender_confluent.py"
    bed.root("client", f"cp --preserve=all {sender} /root/sender.py")
    bed.root("client", f"sed -i 's/config.compression,/\"none\",/' {sender}")
    assert '"none"' in bed.root("client", f"cat {sender}")
    yield
    bed.root("client", f"cp --preserve=all /root/sender.py {sender}; rm /root/sender.py")


@pytest.mark.usefixtures("packs_nothing")
def test_a_codec_that_does_not_act_fails(bed: Bed, tmp_path: Path) -> None:
    row = _sabotaged(bed, tmp_path, lambda: None, "--set", "compression=lz4")
    assert row["status"] == "failed"
    assert not row["gates"]["compression_acts"]["ok"]
    assert row["gates"]["producer_acts"]["ok"]
