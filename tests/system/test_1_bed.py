"""A bed's life, by the command line: up, again, interrupted, stopped, side by side."""

import json
import os
import signal
import stat
import subprocess
from functools import partial
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
    until,
    write_inventory,
)

from streambed import paths
from streambed.pipelines.process_groups import group_of


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


HEAPS = "sudo -u streambed sudo -n /usr/local/sbin/streambed-heaps"


def test_jvms_of_sandboxed_services_say_what_they_hold_and_live_on(bed: Bed) -> None:
    alive = bed.root("cloud", "pgrep -x java")
    for _ in range(2):  # at the second time they listen already
        said = json.loads(bed.root("cloud", f"{HEAPS} collect"))
        held = {group_of(jvm["command"]): jvm["live_bytes"] for jvm in said}
        assert {"broker", "Spark master", "Spark worker"} <= held.keys()
        assert all(2**21 < live < 2**28 for live in held.values()), held
    refused = bed.root("cloud", f"{HEAPS} 1 2>&1; echo $?")
    assert "usage" in refused
    assert refused.endswith("2\n")
    assert bed.root("cloud", "pgrep -x java") == alive


def test_only_jvms_of_the_beds_users_are_asked_and_believed(bed: Bed) -> None:
    found = json.loads(bed.program("client", "jvms"))
    status, said, _ = found["said"]
    assert status == 0
    assert [jvm["live_bytes"] for jvm in json.loads(said)] == [7 * 1024]
    assert found["told"] == {"ours": ["QUIT", "GC.run", "GC.heap_info"], "foreign": []}
    status, said, errors = found["planted"]
    assert (status, said) == (1, "")
    assert "is not the socket of the JVM's user" in errors
    assert found["ended"] == [0, "[]", ""]
    assert found["left"] == []


def test_nodes_reach_nothing_outside_of_the_bed(bed: Bed) -> None:
    """A route to the world would be a way around the shaped link, and an update in mid-run."""
    said = bed.root("client", "ip route get 198.51.100.1 2>&1 || true")
    assert "unreachable" in said.lower(), said


UNITS = {
    "client": ("streambed-firewall", "streambed-link"),
    "cloud": ("streambed-firewall", "kafka", "spark-master", "spark-worker", "spark-history"),
}
"""What starts at boot, in its order."""
RATE_BIT_PER_S = 20_000_000


def booted(bed: Bed, node: str) -> dict[str, dict[str, str]] | None:
    """What systemd says of the node's units, when all are active."""
    names = " ".join(f"{unit}.service" for unit in UNITS[node])
    wanted = "Id,ActiveState,ActiveEnterTimestampMonotonic,NRestarts"
    said = bed.root(node, f"systemctl show --property={wanted} {names}", check=False)
    found = {}
    for paragraph in filter(None, said.strip().split("\n\n")):
        values = dict(line.partition("=")[::2] for line in paragraph.splitlines())
        found[values["Id"].removesuffix(".service")] = values
    active = [unit for unit, values in found.items() if values["ActiveState"] == "active"]
    return found if set(active) == set(UNITS[node]) else None


def test_nodes_that_boot_bring_everything_back_in_order(bed: Bed) -> None:
    """Both at once, as after a power cut; nobody calls `up`."""
    containers = [f"streambed-{paths.clone_hash(bed.name)}-{node}" for node in UNITS]
    bed.root("client", f"streambed-link set --rate {RATE_BIT_PER_S}")
    subprocess.run([*PODMAN, "stop", "-t", "20", *containers], check=True, capture_output=True)
    subprocess.run([*PODMAN, "start", *containers], check=True, capture_output=True)
    for node, (first, *others) in UNITS.items():
        found = until(partial(booted, bed, node), f"{node} to be back")
        at = {unit: int(each["ActiveEnterTimestampMonotonic"]) for unit, each in found.items()}
        assert all(at[first] < at[unit] for unit in others), at
        assert {each.get("NRestarts", "0") for each in found.values()} == {"0"}
        assert "policy drop" in bed.root(node, "nft list table inet streambed")
        if node == "cloud":
            assert at["spark-master"] < at["spark-worker"]
    shown = json.loads(bed.root("client", "streambed-link show --json"))
    assert {shown[way]["rate_bit_per_s"] for way in ("up", "down")} == {RATE_BIT_PER_S}
    bed.root("client", "streambed-link clear")
    streambed("verify", "-i", bed.path)


def test_up_mends_a_stopped_node_and_comes_back_after_a_kill(bed: Bed) -> None:
    name = f"streambed-{paths.clone_hash(bed.name)}-client"
    subprocess.run([*PODMAN, "stop", "-t", "5", name], check=True, capture_output=True)
    with start("up", "-i", bed.path) as killed:
        line_with(killed, "provision")
        os.killpg(killed.pid, signal.SIGKILL)
    streambed("up", "-i", bed.path)  # verifies, too


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
