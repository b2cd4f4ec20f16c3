"""Locks, processes, state and accounts of a bed's commands."""

import subprocess
import sys
from pathlib import Path

import pytest

from streambed.beds import locks, playbook, processes, state, verification
from streambed.errors import StreambedError
from streambed.waiting import wait_until


def test_a_held_lock_says_who_holds_it(tmp_path: Path) -> None:
    again = locks.exclusive(tmp_path / "lock", what="bed duo", command="down")
    with (
        locks.exclusive(tmp_path / "lock", what="bed duo", command="up"),
        pytest.raises(StreambedError, match=r"bed duo is in use by `up` \(process \d+"),
        again,
    ):
        pass
    locks.refuse_if_held(tmp_path / "lock", what="bed duo")
    with (
        locks.exclusive(tmp_path / "lock", what="bed duo", command="down"),
        pytest.raises(StreambedError, match=r"bed duo is in use by `down`"),
    ):
        locks.refuse_if_held(tmp_path / "lock", what="bed duo")
    with locks.exclusive(tmp_path / "lock", what="bed duo", command="down"):
        pass


def _interrupted_while_running(log: Path) -> None:
    with (
        log.open("wb") as stream,
        processes.running(["sh", "-c", "sleep 300 & echo $!; wait"], bed_id="test-end", log=stream),
    ):
        wait_until(log.read_text, timeout_s=5, what="the command to start")
        raise KeyboardInterrupt


def test_an_interrupted_command_is_ended_with_its_children(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        _interrupted_while_running(tmp_path / "log")
    assert processes.marked("test-end") == []


def test_what_a_killed_command_left_is_found_and_ended() -> None:
    # In a session of its own, as ssh masters are.
    orphan = subprocess.Popen(
        ["sleep", "300"], env=processes.environment("test-orphan"), start_new_session=True
    )
    assert processes.end_leftovers("test-orphan") == 1
    assert orphan.wait(timeout=5) != 0
    assert processes.end_leftovers("test-orphan") == 0


def test_state_survives_nonsense_and_keeps_earlier_facts(tmp_path: Path) -> None:
    state.record(tmp_path, "created", provider="podman")
    state.record(tmp_path, "verified", checks=3)
    known = state.read(tmp_path)
    assert (known["stage"], known["provider"], known["checks"]) == ("verified", "podman", 3)
    (tmp_path / "state.json").write_text("{ half")
    assert state.read(tmp_path) == {}


def test_junit_counts_passes_and_names_failures() -> None:
    verdict = verification.parse(
        "<testsuites><testsuite>"
        '<testcase name="a"/><testcase name="b"><failure message="assert 1\n == 2"/></testcase>'
        '<testcase name="c"><error message="boom"/></testcase>'
        '<testcase name="d"><skipped/></testcase>'
        "</testsuite></testsuites>"
    )
    assert verdict.passed == 1
    assert verdict.failures == ("b: assert 1 == 2", "c: boom")


def test_a_failing_task_is_told_with_host_task_and_message(tmp_path: Path) -> None:
    book = tmp_path / "book.yml"
    book.write_text(
        "- hosts: all\n  gather_facts: false\n  tasks:\n"
        "    - name: Break\n      ansible.builtin.fail:\n        msg: the disk is on fire\n"
    )
    hosts = tmp_path / "hosts.yml"
    hosts.write_text(
        "all: {hosts: {n1: {ansible_connection: local, "
        f"ansible_python_interpreter: {sys.executable}}}}}}}\n"
    )
    with pytest.raises(StreambedError, match="n1: Break: the disk is on fire") as caught:
        playbook.run(book, hosts, bed_id="test-play", log=tmp_path / "log")
    assert str(tmp_path / "log") in caught.value.hint
    assert "the disk is on fire" in (tmp_path / "log").read_text()
