"""Faults: which bed they need, how they are made, how long they are felt, what counts as back."""

import asyncio
import subprocess
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from streambed import inventory
from streambed.beds.providers import provider_of
from streambed.errors import StreambedError
from streambed.experiment import Overrides, cells, load, placement
from streambed.experiment.fault import FAULTS, refusal, victim_node
from streambed.gates import accounting, effects, survival
from streambed.gates.reading import Reading
from streambed.results import first_results, recovery
from streambed.results.clocks import NodeClock
from streambed.results.first_results import FirstResults
from streambed.results.measures import StreamingMeasures
from streambed.runner import completion, disturbed_cell, faults
from streambed.runner import survival as outcomes
from streambed.runner.observed import Observed
from streambed.runner.program import Event, Program

KINDS = 12


def test_the_experiment_has_every_kind_once_and_fits_an_evening() -> None:
    found = load("faults", Overrides(subset="evening"))
    assert set(found.levels["fault"]) == set(FAULTS)
    assert len(FAULTS) == KINDS
    assert load("faults").repeats == 3


@pytest.mark.parametrize(
    ("bed", "refused"),
    [
        ("duo", {"broker_of_three_kill", "node_stop", "node_freeze"}),
        ("cluster", {"broker_of_three_kill"}),
        ("ha", {"only_broker_kill"}),
    ],
)
def test_a_bed_refuses_what_it_cannot_show(bed: str, refused: set[str]) -> None:
    nodes = inventory.load(bed)
    assert {name for name in FAULTS if refusal(name, nodes, 100.0)} == refused


def test_machines_of_others_are_not_stopped_and_their_disks_not_filled() -> None:
    machines = replace(inventory.load("cluster"), provider="static")
    needs_containers = {"node_stop", "node_freeze", "disk_full"}
    for name in FAULTS:
        said = refusal(name, machines, 100.0) or ""
        assert ("containers" in said) == (name in needs_containers), name
    by_vagrant = replace(machines, provider="vagrant-docker")
    assert not any(refusal(name, by_vagrant, 100.0) for name in needs_containers)
    provider = provider_of(by_vagrant, say=print)
    assert isinstance(provider, faults.Freezes)


def test_the_spare_node_is_nobody_that_a_cell_needs() -> None:
    for bed in ("cluster", "wide", "ha"):
        nodes = inventory.load(bed)
        victim = victim_node(nodes)
        assert victim is not None
        assert not victim.groups & {"clients", "spark_master"}
        assert victim != nodes.group("kafka_brokers")[0]
    assert victim_node(inventory.load("duo")) is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("fault=link_cut",), "closed mode"),
        (("fault=node_stop", "offered_rate=100 images/s"), "node_stop needs a bed"),
        (("fault=link_slow", "offered_rate=100 images/s", "bandwidth=unshaped"), "bandwidth"),
        (("fault=link_slow", "offered_rate=100 images/s", "bandwidth=5 Mbit/s"), "6.4 Mbit/s"),
        (("fault=link_cut", "offered_rate=100 images/s", "duration=20 s"), "duration"),
        (("fault=fire",), "link_cut"),
    ],
)
def test_what_could_not_be_run_is_refused(options: tuple[str, ...], said: str) -> None:
    with pytest.raises(StreambedError, match=said):
        load("small", Overrides(set=options))


def test_cells_differ_by_their_fault() -> None:
    found = cells(load("faults", Overrides(subset="kills")))
    assert len({cell.identity for cell in found}) == 6


def kill(find: str) -> subprocess.CompletedProcess[str]:
    script = faults._KILL.format(find=find)
    return subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)


def test_a_killed_process_is_proved_gone() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        done = kill(f"echo {process.pid}")
        assert done.returncode == 0, done.stderr
        pid, at = done.stdout.split()
        assert (int(pid), float(at) > 1e9) == (process.pid, True)
        assert process.wait(10) == -9


@pytest.mark.parametrize("find", ["true", "echo 0", "pgrep -f '[n]obody-is-called-so'"])
def test_a_fault_without_a_victim_is_told(find: str) -> None:
    done = kill(find)
    assert (done.returncode, "no such process" in done.stderr) == (3, True)


def test_scripts_are_shell() -> None:
    scripts = (
        faults._KILL.format(find="true"),
        faults._CUT.format(peers="192.0.2.1", seconds=1.0, left="/nowhere"),
        faults._FILL.format(seconds=1.0, left="/nowhere"),
        faults._UNDO.format(folder="/nowhere", left="/nowhere"),
    )
    for script in scripts:
        subprocess.run(["sh", "-n", "-c", script], check=True)


ROOM = 1_000_000
"""Bytes that are free on the disk of the test below."""

STAND_INS = {
    # All but the last 5,000 bytes can be had, in parts: the larger ones do not fit.
    "fallocate": '[ "$2" -le $(($(cat "$ROOM") - 5000)) ] || exit 1\n'
    'echo $(($(cat "$ROOM") - $2)) > "$ROOM"\n: > "$3"',
    "df": 'echo Avail; cat "$ROOM"',
}


def test_a_script_that_is_ended_takes_its_fault_away(tmp_path: Path) -> None:
    """Stand-ins fill nothing, and refuse a file as large as what is free, as ext4 does."""
    (tmp_path / "bin").mkdir()
    for name, text in STAND_INS.items():
        fake = tmp_path / "bin" / name
        fake.write_text(f"#!/bin/sh\n{text}\n")
        fake.chmod(0o755)
    left, disk, room = (tmp_path / name for name in ("fault", "disk", "room"))
    disk.mkdir()
    room.write_text(f"{ROOM}\n")
    script = faults._FILL.format(seconds=5.0, left=left)
    words = ["env", f"PATH={tmp_path / 'bin'}:/usr/bin:/bin", f"ROOM={room}"]
    command = [*words, "sh", "-c", script, "sh", str(disk)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        at, free = process.stdout.readline(), process.stdout.readline()
        assert float(at) > 1e9
        assert 5000 <= int(free) < 5000 + 2 * 4096
        assert left.exists()
        assert len(list(disk.glob(".streambed-filled.*"))) > 1
        process.terminate()
        assert process.wait(10) == 1
    assert not left.exists()
    assert list(disk.iterdir()) == []


def said(command: str) -> str:
    """What a shell command prints, however it ends."""
    return subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False).stdout


def test_a_python_worker_is_chosen_and_not_its_parent_or_the_driver() -> None:
    """Stand-ins: the parent forks a child of the same command line; the driver is older than both.

    It has the daemon's module among its settings, on the node of a small bed.
    """
    code = "import os, time\nif os.fork():\n    os.wait()\nelse:\n    time.sleep(60)"
    find = faults._python_worker("[s]park_daemon_of_a_test pyspark.worker")
    setting = "spark.python.daemon.module=spark_daemon_of_a_test"
    driver = ["python3", "-c", "import time; time.sleep(60)", "--conf", setting, "pyspark-shell"]
    daemon = ["python3", "-c", code, "spark_daemon_of_a_test", "pyspark.worker"]
    with subprocess.Popen(driver) as older, subprocess.Popen(daemon) as parent:
        deadline = time.monotonic() + 30
        while not (found := said(find)):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        child = int(found)
        assert child != parent.pid
        done = kill(find)
        assert int(done.stdout.split()[0]) == child
        assert parent.wait(10) == 0
        older.kill()


def results(latency_s: Any, every_s: float = 0.1, start_s: float = 1000.0) -> FirstResults:
    """Images at a constant rate, each appended `latency_s[i]` after its time."""
    late = np.asarray(latency_s, np.float64)
    intended = np.asarray(start_s + every_s * np.arange(late.size), np.float64)
    nothing = np.zeros(late.size)
    return FirstResults(np.arange(late.size), intended, nothing, nothing, intended + late)


def test_a_fault_that_nobody_feels_takes_no_time() -> None:
    assert recovery.measure(results([0.5] * 600), 1015.0, 1.0).recovery_s == 0


def test_a_slow_beginning_does_not_hide_a_fault() -> None:
    late = np.full(600, 0.5)
    late[:40] = np.linspace(4.5, 0.5, 40)
    late[150:190] = np.linspace(4.5, 0.5, 40)
    found = recovery.measure(results(late), 1015.0, 1.0)
    assert found.latency_limit_s == pytest.approx(1.5)
    assert found.recovery_s == pytest.approx(4.5, abs=0.2)


def test_recovery_ends_with_the_last_late_result() -> None:
    late = np.full(600, 0.5)
    # Nothing for 10 s from the fault on, and another 10 s to work off what waited.
    late[150:350] = np.concatenate([np.linspace(10, 5, 100), np.linspace(5, 0.5, 100)])
    found = recovery.measure(results(late), 1015.0, 1.0)
    assert found.latency_limit_s == pytest.approx(1.5)
    assert found.recovery_s == pytest.approx(19.2, abs=0.1)


def test_a_sender_that_stopped_is_felt_as_a_pause() -> None:
    whole = results([0.5] * 600)
    after = np.arange(600) >= 150
    moved = replace(
        whole,
        intended_at_s=whole.intended_at_s + 8 * after,
        append_at_s=whole.append_at_s + 8 * after,
    )
    found = recovery.measure(moved, 1015.0, 1.0)
    assert found.recovery_s == pytest.approx(8.5, abs=0.2)


def test_what_is_late_to_the_end_has_not_recovered() -> None:
    late = np.concatenate([np.full(150, 0.5), np.full(450, 9.0)])
    assert recovery.measure(results(late), 1015.0, 1.0).recovery_s is None


@pytest.mark.parametrize("ahead_s", [-20.0, 0.0, 20.0])
def test_recovery_does_not_depend_on_whose_clock_told_the_fault(
    ahead_s: float, tmp_path: Path
) -> None:
    """Lab machines: broker's clock and producer's each say another time than the master's."""
    late = np.full(600, 0.5)
    late[150:350] = np.concatenate([np.linspace(10, 5, 100), np.linspace(5, 0.5, 100)])
    whole = results(late)
    shown = replace(
        whole,
        intended_at_s=whole.intended_at_s - 7.0,
        append_at_s=whole.append_at_s + ahead_s,
    )
    found, readings = told(shown, ahead_s, 0.001, tmp_path)
    assert found.recovery_s == pytest.approx(19.2, abs=0.1)
    assert readings["clocks_close"].ok
    assert readings["clocks_close"].measured == pytest.approx(0.002)


def test_a_recovery_within_what_clocks_may_be_off_is_refused(tmp_path: Path) -> None:
    late = np.full(600, 0.5)
    late[150:160] = 3.0
    found, readings = told(results(late), 0.0, 4.0, tmp_path)
    assert (found.recovery_s, readings["clocks_close"].ok) == (None, False)
    assert readings["recovered"].ok
    found, readings = told(results([0.5] * 600), 0.0, 4.0, tmp_path)
    assert (found.recovery_s, readings["clocks_close"].ok) == (0, True)


def told(
    shown: FirstResults, ahead_s: float, bound_s: float, folder: Path
) -> tuple[StreamingMeasures, dict[str, Reading]]:
    """A cell's outcome, its fault made on the master at 1015 s by the master's clock.

    The broker's clock is `ahead_s` ahead of it, the producer's 7 s behind; each offset is measured
    to `bound_s`.
    """
    place = placement.place(
        cells(load("faults", Overrides(subset="evening")))[0].streaming, inventory.load("cluster")
    )
    (broker,) = place.brokers
    offsets = {broker.name: ahead_s, place.producer.name: -7.0, place.master.name: 0.0}
    reading = {name: NodeClock(name, offset_s, bound_s) for name, offset_s in offsets.items()}
    seen = Observed(
        cells(load("faults", Overrides(subset="evening")))[0],
        images=600,
        produced={"sent": 600, "acked": 600},
        collected={"set_aside": {}, "models": {}},
        stopped={"executors": list(place.workers)},
        fault=faults.Injected("driver_kill", 1015.0, place.master.name, "gone"),
        clocks=[reading, reading],
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(first_results, "load", lambda *_: shown)
        patch.setattr(accounting, "judge", lambda *_: [])
        patch.setattr(effects, "model_acts", lambda *_: survival.services_back({}))
        found, readings = outcomes.outcome(seen, folder, place, "tag")
    return found, {reading.gate: reading for reading in readings}


def test_a_fault_before_any_result_cannot_be_judged() -> None:
    with pytest.raises(recovery.NoPeace):
        recovery.measure(results([0.5] * 600), 1000.0, 1.0)


def test_a_node_is_not_back_without_its_firewall() -> None:
    client, cloud = inventory.load("duo").nodes
    assert "streambed-link" in survival.units_of(client)
    assert {"kafka", "spark-history", "streambed-firewall"} <= set(survival.units_of(cloud))
    assert "streambed-link" not in survival.units_of(cloud)


def test_readings_tell_what_is_not_back() -> None:
    text = "\n\n".join(
        f"Id={unit}.service\nActiveState={state}\nLoadState=loaded\nUnitFileState={file}"
        for unit, state, file in (
            ("kafka", "activating", "enabled"),
            ("spark-worker", "active", "enabled"),
            ("spark-master", "inactive", "disabled"),
        )
    )
    states = survival.parse("n1", text)
    assert states == {"n1 kafka": "activating", "n1 spark-worker": "active"}
    reading = survival.services_back(states)
    assert (reading.ok, reading.measured) == (False, "n1 kafka is activating")
    assert survival.services_back({"n1 kafka": "active"}).ok
    assert not survival.recovered(None, "x").ok
    assert survival.recovered(0.0, "x").ok
    assert not survival.executors_back(3, 2).ok
    assert not survival.fault_acts("link_cut", "0 packets", acted=False).ok


@dataclass
class Told:
    """A program that has told some events and is still there."""

    events: list[Event]

    def last(self, kind: str) -> Event | None:
        return next((e for e in reversed(self.events) if e["event"] == kind), None)

    async def until_true(self, condition: Any, **_: Any) -> Event:
        found: Event | None = condition()
        assert found is not None
        return found

    @property
    def program(self) -> Program:
        return cast(Program, self)


def test_two_producers_count_as_one() -> None:
    killed = Told([{"event": "started", "at": 5.0}, {"event": "progress", "acked": 70}])
    last = {"sent": 60, "acked": 60, "first_send_at": 9.0, "last_send_at": 20.0}
    whole = disturbed_cell._together(killed.program, last, 100)
    assert (whole["sent"], whole["acked"], whole["first_send_at"]) == (100, 100, 5.0)
    less = disturbed_cell._together(killed.program, {**last, "acked": 59}, 100)
    assert less["acked"] == 99


def test_a_cell_is_settled_when_nothing_new_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completion, "_SETTLED_S", 0.2)
    monkeypatch.setattr(completion, "_LOOK_EVERY_S", 0.01)
    collect = Told([{"event": "progress", "unique": 7}])
    asyncio.run(completion.until_settled(collect.program))
    collect.events.append({"event": "complete", "unique": 9})
    asyncio.run(completion.until_settled(collect.program))


def test_every_kind_can_be_made() -> None:
    assert set(faults._MAKERS) == set(FAULTS)
