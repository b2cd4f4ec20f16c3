"""How ranks of a training are started and ended, without a node: mpiexec, proxies, watchdogs."""

import json
import os
import select
import subprocess
import sys
import threading

import pytest
from tests.ranks import job

from streambed import paths
from streambed.pipelines import spark_session
from streambed.pipelines.errors import ServiceError
from streambed.pipelines.training import mpi, watchdog


def test_the_watchdog_ends_who_waits_too_long_or_lost_its_parent() -> None:
    watching = watchdog.Watchdog(limit_s=100.0)
    assert watching.reason() is None
    watching.moved(limit_s=-1.0)
    assert "nothing moved" in str(watching.reason())
    watching.moved(limit_s=100.0)
    watching._parent = -1
    assert "gone" in str(watching.reason())


OWN_PATH = {**os.environ, "PYTHONPATH": str(paths.ROOT / "app")}


def test_the_watchdog_ends_a_process_whose_output_nobody_reads_any_more() -> None:
    code = (
        "import time\n"
        "from streambed.pipelines.training.watchdog import Watchdog\n"
        "with Watchdog(limit_s=-1.0):\n"
        "    time.sleep(60)\n"
    )
    reading, writing = os.pipe()
    os.close(reading)
    orphan = subprocess.Popen([sys.executable, "-c", code], stderr=writing, env=OWN_PATH)
    os.close(writing)
    try:
        assert orphan.wait(30) == os.EX_TEMPFAIL
    finally:
        orphan.kill()
        orphan.wait()


def test_the_watchdog_leaves_a_process_alone_when_the_rank_has_ended() -> None:
    with watchdog.Watchdog(limit_s=100.0) as watching:
        (thread,) = [t for t in threading.enumerate() if t.name == "watchdog"]
    watching.moved(limit_s=-1.0)
    thread.join(30)
    assert not thread.is_alive()


def test_mpiexec_is_told_hosts_by_address_and_ports_of_one_range() -> None:
    addresses = ["10.9.0.21", "10.9.0.22", "10.9.0.21"]
    assert mpi.hosts_of(addresses) == ["10.9.0.21:2", "10.9.0.22:1"]
    command = mpi.mpiexec_command(addresses, 99.5)
    assert "MPIEXEC_PORT_RANGE=7100:7199" in command
    assert command[command.index("-hosts") + 1] == "10.9.0.21:2,10.9.0.22:1"
    assert command[command.index("-localhost") + 1] == "10.9.0.21"
    assert command[command.index("-n") + 1] == "3"
    started = command[command.index("-n") + 2 :]
    assert started[1:3] == ["-m", "streambed.pipelines.training.bound"]
    found = mpi.environment(job(key="secret"), ["/a", "/b"])
    assert json.loads(found[mpi.FOLDERS]) == ["/a", "/b"]
    assert json.loads(found["STREAMBED_RANK"])["key"] == "secret"


def test_a_bound_process_dies_with_who_started_it() -> None:
    """What is bound tells its id and holds a pipe, which ends with it."""
    command = [sys.executable, "-m", "streambed.pipelines.training.bound"]
    command += ["sh", "-c", "echo $$; exec sleep 60"]
    starts = f"import subprocess, time; subprocess.Popen({command!r}); time.sleep(60)"
    with subprocess.Popen(
        [sys.executable, "-c", starts],
        stdout=subprocess.PIPE,
        text=True,
        env=OWN_PATH,
    ) as parent:
        assert parent.stdout is not None
        assert int(parent.stdout.readline()) > 0
        parent.kill()
        ended, _, _ = select.select([parent.stdout], [], [], 20)
        assert ended, "it lives on"
        assert parent.stdout.read() == ""


def speaking(*lines: str, status: int = 0) -> "subprocess.Popen[str]":
    code = f"import sys; print({chr(10).join(lines)!r}, flush=True); sys.exit({status})"
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def test_the_proxies_are_those_that_mpiexec_tells() -> None:
    process = speaking("HYDRA_LAUNCH: /x/hydra_pmi_proxy --proxy-id 0 ", "HYDRA_LAUNCH_END")
    assert mpi.Tail(process).proxies(20, 1) == ["/x/hydra_pmi_proxy --proxy-id 0"]
    process.wait()
    process = speaking("cannot listen", "HYDRA_LAUNCH_END", status=1)
    with pytest.raises(ServiceError, match=r"0 of 2 proxies.*cannot listen"):
        mpi.Tail(process).proxies(20, 2)
    process.wait()


def test_a_process_that_fails_ends_the_others() -> None:
    sleeping = subprocess.Popen(["sleep", "100"], stdout=subprocess.PIPE, text=True)
    failing = speaking("rank 1 exploded", status=3)
    tails = [(sleeping, mpi.Tail(sleeping)), (failing, mpi.Tail(failing))]
    with pytest.raises(ServiceError, match="status 3"):
        mpi._wait(tails, 60)
    assert sleeping.poll() is not None
    slow = subprocess.Popen(["sleep", "100"], stdout=subprocess.PIPE, text=True)
    with pytest.raises(ServiceError, match="did not end within 0 s"):
        mpi._wait([(slow, mpi.Tail(slow))], 0)
    assert slow.poll() is not None


def test_a_rank_that_stands_still_says_so_before_it_is_ended() -> None:
    code = (
        "import time\n"
        "from streambed.pipelines.training.watchdog import Watchdog\n"
        "with Watchdog(limit_s=-1.0) as watchdog:\n"
        "    watchdog.farewell = lambda reason: print('told:', reason, flush=True)\n"
        "    time.sleep(60)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=OWN_PATH,
        timeout=30,
        check=False,
    )
    assert done.returncode == os.EX_TEMPFAIL
    assert done.stdout.startswith("told: nothing moved for")


def test_of_what_mpiexec_says_the_cause_is_kept() -> None:
    said = [
        "Traceback (most recent call last):",
        '  File "/opt/streambed/app/x.py", line 5, in step',
        "    loss.backward()",
        "MemoryError: Unable to allocate 3.1 GiB",
        "===================================================================",
        "=   BAD TERMINATION OF ONE OF YOUR APPLICATION PROCESSES",
        "=   PID 4711 RUNNING AT 10.9.0.22",
        "=   EXIT CODE: 1",
        "=   CLEANING UP REMAINING PROCESSES",
        "=   YOU CAN IGNORE THE BELOW CLEANUP MESSAGES",
    ]
    told = mpi.last_words(said)
    assert told.startswith("MemoryError: Unable to allocate 3.1 GiB | ")
    assert "PID 4711 RUNNING AT 10.9.0.22 | EXIT CODE: 1" in told
    assert "CLEANUP" not in told
    assert mpi.last_words(["cannot listen"]) == "cannot listen"


def test_a_failure_is_told_with_the_last_words_of_who_failed() -> None:
    failing = speaking("noise", "ValueError: of its own", status=3)
    with pytest.raises(ServiceError, match="ended with status 3: ValueError: of its own"):
        mpi._wait([(failing, mpi.Tail(failing))], 60)


JAVA = """An error occurred while calling z:org.apache.spark.api.python.PythonRDD.collectAndServe.
: org.apache.spark.SparkException: Job aborted due to stage failure: barrier task failed
org.apache.spark.api.python.PythonException: Traceback (most recent call last):
  File "/opt/spark/worker.py", line 2044, in main
    process()
  File "/opt/spark/worker.py", line 2036, in process
    serializer.dump_stream(out_iter, outfile)
  File "<string>", line 1, in nothing
streambed.pipelines.errors.ServiceError: mpiexec.hydra ended with status 1

\tat org.apache.spark.api.python.BasePythonRunner.handlePythonException(PythonRunner.scala:581)

Driver stacktrace:
\tat org.apache.spark.scheduler.DAGScheduler.failJobAndIndependentStages(DAGScheduler.scala:2935)
"""


def test_of_a_java_error_with_a_python_one_inside_its_last_line_is_kept() -> None:
    told = spark_session.reason(JAVA)
    assert told.endswith("ServiceError: mpiexec.hydra ended with status 1")
    assert "dump_stream" not in told
    assert "worker.py" not in told
    assert "Traceback" not in told
