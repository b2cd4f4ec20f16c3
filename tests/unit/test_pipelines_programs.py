"""The protocol itself, with real processes: bad specs, and the end of the controller."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from streambed.pipelines import describe

APP = Path(__file__).resolve().parents[2] / "app"

CHILD = """
import subprocess, sys
from streambed.pipelines.protocol import emit, run_program

def program(raw, commands):
    child = subprocess.Popen(["sleep", "600"])
    emit("ready", child=child.pid)
    if commands.wait("crash", raw["wait_s"]):
        raise KeyError("a bug")
    if not commands.wait("finish", raw["wait_s"]):
        child.wait()

sys.exit(run_program(lambda: program))
"""


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(APP)},
    )


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    # A zombie has ended; whoever adopted it has not looked yet.
    return state != "Z"


@pytest.fixture
def ready() -> tuple[subprocess.Popen[str], int]:
    process = start("-c", CHILD)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps({"wait_s": 0.5}) + "\n")
    process.stdin.flush()
    event: dict[str, Any] = json.loads(process.stdout.readline())
    return process, int(event["child"])


def test_the_end_of_stdin_ends_the_program_and_its_children(
    ready: tuple[subprocess.Popen[str], int],
) -> None:
    process, child = ready
    process.communicate(timeout=5)
    assert process.returncode == 4
    assert not alive(child)


def test_a_signal_ends_the_program_and_its_children(
    ready: tuple[subprocess.Popen[str], int],
) -> None:
    process, child = ready
    process.terminate()
    assert process.wait(5) == 4
    assert not alive(child)
    process.communicate()


def test_a_command_reaches_the_program_and_no_child_is_left(
    ready: tuple[subprocess.Popen[str], int],
) -> None:
    process, child = ready
    assert process.stdin is not None
    process.stdin.write('{"command": "finish"}\n')
    process.stdin.flush()
    assert process.wait(5) == 0
    assert not alive(child)
    process.communicate()


def test_a_bug_is_told_with_its_stack_and_a_status_of_its_own(
    ready: tuple[subprocess.Popen[str], int],
) -> None:
    process, child = ready
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write('{"command": "crash"}\n')
    process.stdin.flush()
    assert json.loads(process.stdout.readline())["event"] == "failed"
    assert process.wait(5) == 1
    assert not alive(child)
    assert "Traceback" in process.communicate()[1]


@pytest.mark.parametrize(
    ("program", "spec", "word"),
    [
        ("produce", "not json", "JSON"),
        ("produce", '{"topic": "t"}', "'bootstrap' is missing"),
        ("collect", '{"bootstrap": "b", "result_topic": "r", "count": "many"}', "count"),
        ("classify", '{"trigger": 1}', "'trigger'"),
        ("topics", '{"bootstrap": 9092}', "bootstrap"),
        ("train", '{"model": "resnet", "out": "x"}', "lenet5"),
        ("sample", '{"address": "127.0.0.1", "every_s": 0}', "every_s"),
    ],
)
def test_a_bad_spec_ends_with_2_and_a_word(program: str, spec: str, word: str) -> None:
    process = start("-m", "streambed.pipelines", program)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(spec + "\n")
    process.stdin.flush()
    assert process.wait(10) == 2
    out, err = process.communicate()
    assert word in json.loads(out)["reason"]
    assert word in err
    assert "Traceback" not in err


def test_an_unknown_program_ends_with_2() -> None:
    process = start("-m", "streambed.pipelines", "dance")
    assert "produce" in process.communicate()[1]
    assert process.returncode == 2


def test_exposures_are_read_by_unit() -> None:
    text = (
        "✗ PrivateNetwork= Service has access to the host's network 0.5\n\n"
        "→ Overall exposure level for kafka.service: 1.6 OK 🙂\n\n"
        "→ Overall exposure level for streambed-link.service: 2.0 OK 🙂\n"
    )
    assert describe.rated(text) == {"kafka": 1.6, "streambed-link": 2.0}
    assert describe.rated("") == {}
