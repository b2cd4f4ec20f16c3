"""Restarts of Kafka, with the nodes' own scripts: due until made, whatever became of a roll."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from streambed import paths

ROLE = paths.ROOT / "roles" / "kafka"

SYSTEMCTL = """\
#!/bin/sh
case $1 in
show) cat state ;;
daemon-reload) echo reload >>calls ;;
restart)
    echo restart >>calls
    rm -f run/started-with
    [ ! -e broken ] || exit 1
    ours/kafka-started note
    ;;
esac
"""


class Broker:
    """A node's directory with the role's scripts, and a systemctl that starts nothing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("etc/kafka", "etc/systemd/system", "ours", "run", "bin", "store-1", "store-2"):
            (folder / name).mkdir(parents=True)
        (folder / "kafka").symlink_to("store-1")
        for path in placed():
            self.write(path, "old")
        for name in ("kafka-started", "kafka-restart"):
            text = (ROLE / "files" / name).read_text()
            for there, here in (
                ("/usr/local/lib/streambed", "ours"),
                ("/opt/kafka", "kafka"),
                ("/run/kafka", "run"),
                ("/etc/", "etc/"),
            ):
                text = text.replace(there, here)
            self.script(f"ours/{name}", text)
        self.script("ours/kafka-ready", "#!/bin/sh\necho ready >>calls; [ ! -e broken ]\n")
        self.script("bin/systemctl", SYSTEMCTL)
        self.state("active")
        self.run("ours/kafka-started", "note")

    def script(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)
        (self.folder / name).chmod(0o755)

    def write(self, path: str, text: str) -> None:
        (self.folder / path.lstrip("/")).write_text(text)

    def state(self, active: str, reload: str = "no") -> None:
        text = f"ActiveState={active}\nNeedDaemonReload={reload}\n"
        (self.folder / "state").write_text(text)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        return subprocess.run(
            command,
            cwd=self.folder,
            env={"PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )

    def due(self) -> str:
        done = self.run("ours/kafka-started", "differs")
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.strip()

    def restarts(self) -> int:
        calls = self.folder / "calls"
        return calls.read_text().split().count("restart") if calls.exists() else 0


def placed() -> list[str]:
    """Files that the role places for a broker's start, by its variables."""
    variables = yaml.safe_load((ROLE / "vars/main.yml").read_text())
    parts = ("_kafka_install_files", "_kafka_node_files", "_kafka_secret_files")
    return [each["path"] for part in parts for each in variables[part]]


@pytest.fixture
def brokers(tmp_path: Path) -> list[Broker]:
    return [Broker(tmp_path / name) for name in ("broker1", "broker2", "broker3")]


def roll(brokers: list[Broker]) -> list[bool]:
    """As ansible/roll.yml does: one at a time, to the first that fails; whether each changed."""
    changed = []
    for broker in brokers:
        done = broker.run("ours/kafka-restart", "1")
        if done.returncode:
            break
        changed.append(done.stdout != "")
    return changed


def test_a_roll_that_failed_half_way_is_taken_up_where_it_ended(brokers: list[Broker]) -> None:
    for broker in brokers:
        broker.write("/etc/kafka/server.properties", "new")
    (brokers[1].folder / "broken").touch()
    assert roll(brokers) == [True]
    assert [broker.restarts() for broker in brokers] == [1, 0, 0]
    (brokers[1].folder / "broken").unlink()
    assert roll(brokers) == [False, True, True]
    assert roll(brokers) == [False, False, False]
    assert [broker.restarts() for broker in brokers] == [1, 1, 1]


@pytest.mark.parametrize("path", placed())
def test_whatever_a_start_goes_by_makes_a_restart_due(brokers: list[Broker], path: str) -> None:
    broker = brokers[0]
    assert broker.due() == ""
    broker.write(path, "new")
    assert broker.due() == path.lstrip("/")
    broker.write(path, "old")
    assert broker.due() == ""


def test_another_kafka_or_another_unit_makes_a_restart_due(brokers: list[Broker]) -> None:
    broker = brokers[0]
    (broker.folder / "kafka").unlink()
    (broker.folder / "kafka").symlink_to("store-2")
    assert broker.due() == "store-2"
    assert roll([broker]) == [True]
    broker.state("active", reload="yes")
    assert broker.due() == "its unit as systemd knows it"


@pytest.mark.parametrize(("state", "due"), [("active", True), ("activating", False)])
def test_without_digests_only_what_runs_is_due(
    brokers: list[Broker], state: str, due: bool
) -> None:
    broker = brokers[0]
    (broker.folder / "run/started-with").unlink()
    broker.state(state)
    assert (broker.due() != "") is due


def test_nothing_is_waited_for_where_nothing_is_due(brokers: list[Broker]) -> None:
    assert roll(brokers) == [False, False, False]
    assert not any((broker.folder / "calls").exists() for broker in brokers)


def test_the_unit_keeps_digests_before_anything_reads_a_file() -> None:
    unit = (ROLE / "templates/kafka.service.j2").read_text()
    before = [line for line in unit.splitlines() if line.startswith("ExecStartPre=")]
    assert before[0] == "ExecStartPre=/usr/local/lib/streambed/kafka-started note"
    assert "RuntimeDirectory=kafka\n" in unit
