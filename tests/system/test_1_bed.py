"""A bed's life, by the command line: up, again, interrupted, stopped, side by side."""

import json
import os
import signal
import stat
import subprocess
from pathlib import Path

import pytest
from tests.system.tools import (
    PODMAN,
    Bed,
    changes,
    free_prefix,
    leftovers,
    line_with,
    start,
    streambed,
    write_inventory,
)

from streambed import paths


def test_every_node_is_running_and_the_bed_verified(bed: Bed) -> None:
    status = json.loads(streambed("status", "-i", bed.path, "--json").stdout)
    assert status["stage"] == "verified"
    assert {node["node"]: node["state"] for node in status["nodes"]} == {
        "client": "running",
        "cloud": "running",
    }


def test_the_playbook_by_hand_finds_nothing_to_change(bed: Bed) -> None:
    assert changes(bed.playbook()) == []


def test_check_mode_works_and_foretells_a_change(bed: Bed) -> None:
    assert changes(bed.playbook("--check", "--diff")) == []
    bed.root("client", "rm /etc/streambed/link.json")
    assert changes(bed.playbook("--check", "--diff")) != []
    assert changes(bed.playbook()) != []
    assert "link.json" in bed.root("client", "ls /etc/streambed")


def test_keys_are_for_their_owner_only(bed: Bed) -> None:
    folder = paths.ROOT / ".streambed" / bed.name
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    key = folder / "ssh" / "id_ed25519"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    ignored = subprocess.run(
        ["git", "-C", str(paths.ROOT), "check-ignore", "-q", str(key)], check=False
    )
    assert ignored.returncode == 0


def test_a_command_on_a_node_keeps_its_exit_status(bed: Bed) -> None:
    assert streambed("ssh", "-i", bed.path, "cloud", "hostname").stdout.strip() == "cloud"
    streambed("ssh", "-i", bed.path, "cloud", "exit 7", status=7)


def test_nodes_reach_nothing_outside_of_the_bed(bed: Bed) -> None:
    """A route to the world would be a way around the shaped link, and an update in mid-run."""
    said = bed.root("client", "ip route get 198.51.100.1 2>&1 || true")
    assert "unreachable" in said.lower(), said


def test_up_mends_a_stopped_node_and_comes_back_after_a_kill(bed: Bed) -> None:
    name = f"streambed-{paths.clone_hash(bed.name)}-client"
    subprocess.run([*PODMAN, "stop", "-t", "5", name], check=True, capture_output=True)
    with start("up", "-i", bed.path) as killed:
        line_with(killed, "provision")
        os.killpg(killed.pid, signal.SIGKILL)
    streambed("up", "-i", bed.path)
    streambed("verify", "-i", bed.path)


def test_a_second_bed_lives_beside_the_first_until_it_is_taken_down(
    bed: Bed, tmp_path: Path
) -> None:
    sizes = {
        "client": {"cpus": 0.3, "memory": "1 GiB"},
        "cloud": {"cpus": 0.5, "memory": "1 GiB"},
    }
    other = write_inventory(tmp_path / "tiny", "tiny", sizes)
    env = {"STREAMBED_BED_PREFIX": free_prefix()}
    try:
        with start("up", "-i", other, env=env) as interrupted:
            line_with(interrupted, "creating")
            os.killpg(interrupted.pid, signal.SIGINT)
            assert interrupted.wait(60) != 0
        said = streambed("status", "-i", other, "--json", env=env).stdout
        assert json.loads(said)["stage"] != "verified"
    finally:
        streambed("down", "-i", other, env=env)
    assert leftovers("tiny") == []
    assert json.loads(streambed("status", "-i", bed.path, "--json").stdout)["stage"] == "verified"


def test_a_subnet_that_is_taken_is_refused_by_name(bed: Bed, tmp_path: Path) -> None:
    other = write_inventory(tmp_path / "clash", "clash")
    said = streambed("up", "-i", other, status=1).stderr
    assert os.environ["STREAMBED_BED_PREFIX"] in said
    assert "STREAMBED_BED_PREFIX" in said
    assert leftovers("clash") == []


@pytest.mark.parametrize(("key", "value"), [("cpus", 64), ("memory", "4096 GiB")])
def test_more_than_the_host_has_is_refused_with_the_arithmetic(
    key: str, value: object, tmp_path: Path
) -> None:
    huge = write_inventory(tmp_path / "huge", "huge", {"cloud": {key: value}})
    env = {"STREAMBED_BED_PREFIX": free_prefix()}
    said = streambed("up", "-i", huge, env=env, status=1).stderr
    assert "cloud" in said
    assert leftovers("huge") == []
