"""What a node's processes use, read from real ones."""

import subprocess
import sys

import psutil
import pytest

from streambed.pipelines.errors import ServiceError
from streambed.pipelines.process_groups import OTHER, group_of
from streambed.pipelines.sample import Meter, interface_of

# Uses as much CPU time as it is told, says so, and waits for the end of its input.
BUSY = """
import sys, time
while time.process_time() < float(sys.argv[1]):
    pass
print("done", flush=True)
sys.stdin.read()
"""


def busy(cpu_s: float, *arguments: str) -> "subprocess.Popen[str]":
    """A process that has used `cpu_s` seconds and is still there."""
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", BUSY, str(cpu_s), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "done\n"
    return process


@pytest.mark.parametrize(
    ("command", "group"),
    [
        ("java -Xmx512m -cp /opt/kafka/libs/* kafka.Kafka /etc/kafka/server.properties", "broker"),
        ("java -cp x org.apache.spark.deploy.worker.Worker spark://cloud:7077", "Spark worker"),
        (
            "java org.apache.spark.executor.CoarseGrainedExecutorBackend --cores 2",
            "executor JVM",
        ),
        ("python -m streambed.pipelines.spark_daemon pyspark.worker", "Python workers"),
        ("python -m pyspark.daemon pyspark.worker", "Python workers"),
        ("python -m streambed.pipelines produce", "producer"),
        ("python -m streambed.pipelines train", "train"),
        ("sshd: streambed", OTHER),
        ("python -m streambed.pipelines", OTHER),
        ("", OTHER),
    ],
)
def test_a_process_belongs_to_the_service_its_command_line_names(command: str, group: str) -> None:
    assert group_of(command.split()) == group


def test_a_shell_that_starts_a_program_is_not_the_program() -> None:
    assert group_of(["bash", "-c", "env A=1 python -m streambed.pipelines produce"]) == OTHER


def test_time_is_counted_by_group_and_once_when_its_process_ends() -> None:
    me, meter = psutil.Process(), Meter()
    meter.read([me])
    with busy(0.5, "streambed.pipelines", "produce") as producer:
        alive = meter.read([me, psutil.Process(producer.pid)])
        assert alive["cpu_s"]["producer"] >= 0.45  # the kernel shows hundredths
        assert alive["memory_bytes"]["producer"] > 0
        producer.communicate()
    ended = meter.read([me])
    assert ended["cpu_s"]["producer"] == alive["cpu_s"]["producer"]
    # Its parent's counters have it now, a second time.
    assert ended["cpu_s"][OTHER] - alive["cpu_s"][OTHER] < 0.45
    assert "producer" not in ended["memory_bytes"]


def test_what_came_and_went_between_two_readings_is_in_the_rest() -> None:
    me, meter = psutil.Process(), Meter()
    before = meter.read([me])["cpu_s"][OTHER]
    with busy(0.3, "streambed.pipelines", "produce") as unseen:
        unseen.communicate()
    assert meter.read([me])["cpu_s"][OTHER] - before >= 0.25


def test_time_before_the_first_reading_does_not_count() -> None:
    with busy(0.3, "streambed.pipelines", "produce") as producer:
        processes = [psutil.Process(), psutil.Process(producer.pid)]
        assert sum(Meter().read(processes)["cpu_s"].values()) == 0
        producer.communicate()


def test_the_interface_is_the_one_with_the_nodes_address() -> None:
    assert interface_of("127.0.0.1") == "lo"
    with pytest.raises(ServiceError, match=r"192\.0\.2\.1"):
        interface_of("192.0.2.1")
