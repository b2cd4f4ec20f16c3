"""Machines of somebody else: looked at, refused, converged, measured on, and left as they were."""

import asyncio
import json
import os
import shlex
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.system import foreign
from tests.system.foreign import OTHERS_PORT, Lab
from tests.system.tools import changes, rows, streambed, until, verdict

from streambed import bundle, inventory, paths
from streambed.runner import clocks
from streambed.runner.program import Program
from streambed.runner.remote import connect

pytestmark = pytest.mark.long

# What has our names, and a discipline on the link's interface; and its end.
STRANGERS = """
useradd kafka; mkdir /opt/kafka; nft add table inet streambed
tc qdisc add dev eth1 root handle 7: pfifo
"""
STRANGERS_GO = """
userdel kafka; rmdir /opt/kafka; nft delete table inet streambed
tc qdisc del dev eth1 root
"""
CELL = ("--set", "bandwidth=20 Mbit/s", "--set", "trigger=1 s")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Two machines that nobody has touched yet; gone at the end."""
    folder = tmp_path_factory.mktemp("foreign")
    password = folder / "password"
    password.write_text(foreign.PASSWORD + "\n")
    with pytest.MonkeyPatch.context() as patch, foreign.made(folder / "lab") as machines:
        # For Ansible by hand as for every other command; the inventory has no password.
        patch.setenv("ANSIBLE_BECOME_PASSWORD_FILE", str(password))
        yield machines


@pytest.fixture(scope="module")
def untouched(lab: Lab) -> dict[str, dict[str, Any]]:
    """What the machines were."""
    return lab.snapshot()


def different(lab: Lab, untouched: dict[str, dict[str, Any]]) -> list[str]:
    """What differs now, in words."""
    found = []
    now = lab.snapshot()
    for node, before in untouched.items():
        for part, was in before.items():
            there = now[node][part]
            if there == was:
                continue
            gone, new = (
                set(map(str, each.items() if part == "files" else each)) for each in (was, there)
            )
            found += [f"{node} {part}: - {line}" for line in sorted(gone - new)]
            found += [f"{node} {part}: + {line}" for line in sorted(new - gone)]
    return found


def test_every_reason_is_told_before_anything_changes(
    lab: Lab, untouched: dict[str, dict[str, Any]]
) -> None:
    address = lab.inventory.node("camera").address
    # Of camera's two interfaces, the one for logins leads there.
    elsewhere = address.rpartition(".")[0] + ".1"
    wanted = {
        "preflight_peers": {"elsewhere": elsewhere},
        "preflight_os_version": "13",
        "preflight_disk_gib": 100000,
        "preflight_ports": [OTHERS_PORT],
        "preflight_memory_gib": 200000,
        "preflight_python": "3.12",
        "preflight_architecture": "riscv64",
        "preflight_clock_tolerance_s": -1,
        "preflight_interface": "eth9",
    }
    lab.on("camera", "sh", "-ec", STRANGERS)
    lab.on("cloud", "mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", "/opt")
    said = lab.play("site", "-e", json.dumps(wanted), fails=True)
    lab.on("cloud", "umount", "/opt")
    lab.on("camera", "sh", "-ec", STRANGERS_GO)
    for node in ("camera", "cloud"):
        assert f"{node} is refused: it runs debian 12" in said
    flat = " ".join(said.split())
    for words in (
        "100000.0 needed",
        "its groups need 200000.0 GiB",
        f"port {OTHERS_PORT} is taken by a process of user others",
        "wheels are for 3.12",
        "wheels are for riscv64",
        "-1.0 s are allowed",
        "not on eth9",
    ):
        assert flat.count(words) >= 2, words
    for words in (
        "0.2 GiB are free in /opt; 100000.0 needed",
        "eth1 has a queueing discipline of somebody else (pfifo 7:)",
        "/opt/kafka, user kafka, the nftables table inet streambed from somebody else",
    ):
        assert words in flat
    assert f"{elsewhere}) leaves by eth0 as {address}, not by eth1 as" in flat
    twins = json.dumps({"bed_address": "198.51.100.7"})
    said = lab.play("preflight", "-e", twins, fails=True)
    assert "has the same address, 198.51.100.7" in said
    assert different(lab, untouched) == []


def test_a_wrong_password_for_sudo_is_told_and_nobody_is_touched(
    lab: Lab, untouched: dict[str, dict[str, Any]]
) -> None:
    wrong = json.dumps({"ansible_become_password": "wrong"})
    said = lab.play("site", "-e", wrong, fails=True)
    assert "Incorrect sudo password" in said
    recap = said.partition("PLAY RECAP")[2].splitlines()
    (camera, cloud) = (line for name in lab.containers for line in recap if line.startswith(name))
    assert "unreachable=1" in camera or "failed=1" in camera
    assert "unreachable=0" in cloud
    assert "failed=0" in cloud
    assert different(lab, untouched) == []


def test_a_check_lists_what_would_change_and_changes_nothing(
    lab: Lab, untouched: dict[str, dict[str, Any]]
) -> None:
    said = lab.play("site", "--check", "--diff")
    for path in (
        "/etc/streambed/link.json",
        "/etc/sudoers.d/streambed",
        "/var/lib/kafka",
        "rmem_max",
    ):
        assert path in said
    assert len(changes(said)) == 2
    assert different(lab, untouched) == []


@pytest.fixture(scope="module")
def converged(
    lab: Lab, untouched: dict[str, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Lab:
    """The machines as a bed, with the packages that they lacked from a bundle's archive."""
    del untouched  # taken before
    archive = bundle.pack_debs(foreign.LACKING, tmp_path_factory.mktemp("debs"))
    lab.play("site", "-e", json.dumps({"debian_packages_bundle": str(archive)}))
    streambed("verify", "-i", lab.path)
    return lab


def test_the_playbook_again_changes_nothing(converged: Lab) -> None:
    assert changes(converged.play("site")) == []


def test_the_checks_pass_by_hand(converged: Lab) -> None:
    command = [sys.executable, "-m", "pytest", "tests/infra", "-q", "--inventory", converged.path]
    done = subprocess.run(command, cwd=paths.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_a_machine_that_vanishes_is_named_and_the_next_run_completes(converged: Lab) -> None:
    for node in ("camera", "cloud"):
        converged.on(node, "rm", "/etc/streambed/services.json")
    playing = converged.start("site")
    assert playing.stdout is not None
    said = []
    with playing:
        for line in playing.stdout:
            said.append(line)
            # It was there for the preflight, and is gone when it is to be changed.
            if line.startswith("PLAY [Converge]"):
                converged.stop("camera")
    output, _, recap = "".join(said).partition("PLAY RECAP")
    assert playing.returncode != 0
    assert "camera" in output
    assert "unreachable=1" in recap
    converged.restart("camera")
    assert [line.split()[0] for line in changes(converged.play("site"))] == ["camera"]
    streambed("verify", "-i", converged.path)


def test_a_rate_above_the_interfaces_speed_is_refused_before_any_cell(
    converged: Lab, tmp_path: Path
) -> None:
    options = ("-i", converged.path, "--results", str(tmp_path), "--set", "bandwidth=20 Gbit/s")
    said = streambed("run", converged.small, *options, "--set", "trigger=1 s", status=1).stderr
    assert "camera: a bandwidth of 20 Gbit/s is above the speed of its interface eth1" in said


def test_only_the_link_is_shaped(converged: Lab) -> None:
    before = converged.on("camera", "tc", "qdisc", "show", "dev", "eth0")
    helper = "/usr/local/sbin/streambed-link"
    state = json.loads(converged.on("camera", helper, "set", "--rate", "20000000", "--json"))
    assert state["interface"] == "eth1"
    assert converged.on("camera", "tc", "qdisc", "show", "dev", "eth0") == before
    assert "htb" in converged.on("camera", "tc", "qdisc", "show", "dev", "eth1")
    converged.on("camera", helper, "clear")
    # What somebody else gives the interface is theirs.
    converged.on("camera", "tc", "qdisc", "add", "dev", "eth1", "root", "handle", "7:", "pfifo")
    script = f"{helper} set --rate 20000000 2>&1 || true"
    assert "somebody else: pfifo 7:" in converged.on("camera", "sh", "-c", script)
    converged.on("camera", "tc", "qdisc", "del", "dev", "eth1", "root")


def test_what_others_run_there_is_reached_as_before(converged: Lab) -> None:
    for node in converged.inventory.nodes:
        with urllib.request.urlopen(f"http://{node.address}:{OTHERS_PORT}/", timeout=5) as answer:
            assert answer.status == 200


def test_a_jump_host_leads_to_a_machine(converged: Lab, tmp_path: Path) -> None:
    """Another inventory of the same machines: the second is reached through the first."""
    hosts = yaml.safe_load((Path(converged.path) / "hosts.yml").read_text())
    more = hosts["all"]["vars"]["ansible_ssh_extra_args"]
    key = hosts["all"]["vars"]["ansible_ssh_private_key_file"]
    camera = hosts["all"]["hosts"]["camera"]["ansible_host"]
    jump = f"ssh -i {key} {more} -W %h:%p lab@{camera}"
    hosts["all"]["hosts"]["cloud"]["ansible_ssh_extra_args"] = f"{more} -o 'ProxyCommand={jump}'"
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump(hosts))
    (tmp_path / "group_vars").symlink_to(paths.ROOT / "inventory" / "lab" / "group_vars")
    said = streambed("ssh", "-i", str(tmp_path), "cloud", "hostname")
    assert said.stdout.strip() == "cloud"

    children = Path(f"/proc/self/task/{os.getpid()}/children")

    async def as_run_user() -> str:
        bed = inventory.load(tmp_path)
        async with connect(bed) as fleet:
            said = (await fleet.on(bed.node("cloud")).run(["hostname"])).stdout.strip()
        # The jump's ssh ends with the connection, and the loop must be there to see it end.
        await asyncio.to_thread(until, lambda: not children.read_text(), "the jump's end", 10)
        return said

    assert asyncio.run(as_run_user()) == "cloud"
    assert changes(replace(converged, path=str(tmp_path)).play("site")) == []


def test_a_clock_is_bounded_by_its_round_trip(converged: Lab) -> None:
    """Containers share the controller's clock, so that the truth is known: no offset."""

    async def ask() -> tuple[Any, Any]:
        async with connect(converged.inventory) as fleet:
            shared = await clocks.read(fleet, converged.inventory.nodes)
            cloud = fleet.on(converged.inventory.node("cloud"))
            async with Program(cloud, "clock", {}) as program:
                ready = await program.until("ready", timeout_s=30)
                return shared, await clocks._measure(program, ready)

    shared, measured = asyncio.run(ask())
    assert len({clock.boot_id for clock in shared.values()}) == 1
    assert 0 < measured.bound_s < 0.2
    assert abs(measured.offset_s) <= measured.bound_s


def test_an_experiment_counts_as_on_any_bed(
    converged: Lab, tmp_path: Path, by_door: dict[str, dict[str, Any]]
) -> None:
    options = ("-i", converged.path, "--results", str(tmp_path), *CELL)
    with converged.measuring():
        said = streambed("run", converged.small, *options).stderr
    assert "provisioning" not in said
    (row,) = rows(tmp_path, "small")
    assert row["status"] == "ok", row["reason"]
    assert verdict(row)["lost"] == 0
    by_door["lab"] = row


def test_down_leaves_machines_of_others_alone(converged: Lab) -> None:
    said = streambed("down", "-i", converged.path, status=1).stderr
    assert "ansible/teardown.yml" in said
    assert converged.on("cloud", "systemctl", "is-active", "kafka") == "active"


def test_a_teardown_leaves_no_difference(
    converged: Lab, untouched: dict[str, dict[str, Any]]
) -> None:
    # Shaped, so that the interface's offloads are off and its disciplines ours.
    helper = "/usr/local/sbin/streambed-link"
    converged.on("camera", helper, "set", "--rate", "20000000")
    assert "tcp-segmentation-offload: off" in converged.on("camera", "ethtool", "-k", "eth1")
    said = converged.play("teardown")
    assert "Certificates and passwords stay in" in said
    status = json.loads(streambed("status", "-i", converged.path, "--json").stdout)
    assert status["stage"] != "verified"
    assert different(converged, untouched) == []
    for node in converged.containers:
        assert converged.on(node, "systemctl", "is-active", "others") == "active"
        assert "dport 9999 drop" in converged.on(node, "nft", "list", "table", "inet", "others")
    assert changes(converged.play("teardown")) == []


def test_a_bundle_is_all_that_a_lab_without_internet_needs(
    lab: Lab, untouched: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    """From a plain Debian that reaches these machines and nothing else."""
    assert different(lab, untouched) == []
    file = tmp_path / "bundle.tar"
    streambed("bundle", "--output", str(file))
    with foreign.controller(lab, file) as run:
        assert run("ip route show default") == ""
        said = run("./streambed up -i /root/lab")
        assert "installing Debian packages" in said
        assert "checks passed" in said
        with lab.measuring():
            run(f"./streambed run small -i /root/lab {shlex.join(CELL)}")
        (row,) = json.loads(run("./streambed results small --json"))
    assert row["status"] == "ok", row["reason"]
    assert verdict(row)["lost"] == 0
