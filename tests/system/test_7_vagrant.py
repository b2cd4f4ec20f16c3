"""The same nodes as Vagrant's machines: up to a verified bed, measured on, halted, destroyed."""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.system.tools import (
    Bed,
    free_prefix,
    leftovers,
    rows,
    streambed,
    write_inventory,
)

from streambed import inventory, paths
from streambed.beds import baked_image

pytestmark = pytest.mark.long

NAME = "by-vagrant"
CELL = ("--set", "bandwidth=20 Mbit/s", "--set", "trigger=1 s")


@dataclass(frozen=True)
class Machines(Bed):
    """A bed whose machines Vagrant makes, and where Vagrant keeps what it knows of them."""

    env: dict[str, str]

    def vagrant(self, *arguments: str, status: int = 0, folder: Path = paths.ROOT) -> str:
        """Run vagrant in the clone, or with the Vagrantfile of a folder; what it said."""
        done = subprocess.run(
            ["vagrant", *arguments],
            cwd=folder,
            env=os.environ | self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == status, done.stdout
        return done.stdout

    def streambed(self, *arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        """Run ./streambed on this bed."""
        return streambed(*arguments, "-i", self.path, status=status, env=self.env)

    def states(self) -> dict[str, str]:
        """Machine → its state, as Vagrant tells."""
        said = self.vagrant("status", "--machine-readable")
        lines = (line.split(",") for line in said.splitlines())
        return {words[1]: words[3] for words in lines if words[2:3] == ["state"]}


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """An inventory of the tests' own; whatever Vagrant made of it is gone at the end."""
    folder = tmp_path_factory.mktemp("vagrant")
    path = write_inventory(folder / "bed", NAME)
    env = {
        "STREAMBED_BED": path,
        "STREAMBED_BED_PREFIX": free_prefix(),
        "VAGRANT_DOTFILE_PATH": str(folder / "dotfile"),
        "VAGRANT_HOME": str(folder / "home"),
    }
    bed = Machines(path, env)
    yield bed
    bed.vagrant("destroy", "--force")
    assert leftovers(NAME) == []


@pytest.fixture(scope="module")
def up(machines: Machines) -> Machines:
    """The machines, by one `vagrant up`; the image is there before it."""
    baked_image.ensure(print)
    said = machines.vagrant("up")
    assert f"preparing bed {NAME} for vagrant (docker)" in said
    assert "checks passed" in said
    return machines


@pytest.fixture
def virtual(machines: Machines, tmp_path: Path, provider: str) -> Machines:
    """The same for a provider of virtual machines; VirtualBox only tells its version here."""
    stand_in = tmp_path / "VBoxManage"
    stand_in.write_text("#!/bin/sh\ncase $1 in --version) echo 6.1.50r161033 ;; esac\n")
    stand_in.chmod(0o755)
    more = {"VAGRANT_DEFAULT_PROVIDER": provider, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    return Machines(machines.path, {**machines.env, **more})


@pytest.mark.parametrize("provider", ["libvirt", "virtualbox"])
def test_each_provider_judges_its_block_of_the_vagrantfile(
    virtual: Machines, provider: str, tmp_path: Path
) -> None:
    assert "validated successfully" in virtual.vagrant("validate")
    text = (paths.ROOT / "Vagrantfile").read_text().replace("__dir__", f'"{paths.ROOT}"')
    wrong = text.replace(f"{provider}.memory =", f"{provider}.memry =")
    assert wrong != text
    (tmp_path / "Vagrantfile").write_text(wrong)
    assert "memry" in virtual.vagrant("validate", status=1, folder=tmp_path)


def test_the_vagrantfile_is_valid_and_makes_nothing_by_being_read(machines: Machines) -> None:
    assert "validated successfully" in machines.vagrant("validate")
    assert set(machines.states().values()) == {"not_created"}
    assert not inventory.maker_file(NAME).exists()


def test_one_command_leads_to_a_verified_bed(up: Machines) -> None:
    assert up.states() == {f"{NAME}-client": "running", f"{NAME}-cloud": "running"}
    status = json.loads(up.streambed("status", "--json").stdout)
    assert status["stage"] == "verified"
    assert {node["state"] for node in status["nodes"]} == {"running"}
    assert inventory.maker_file(NAME).read_text() == "vagrant-docker\n"
    up.streambed("verify")


def test_a_node_is_reached_both_ways(up: Machines) -> None:
    assert "client" in up.vagrant("ssh", f"{NAME}-client", "--command", "hostname")
    done = streambed("ssh", "-i", up.path, "cloud", "hostname", env=up.env)
    assert done.stdout.strip() == "cloud"


def test_makers_keep_out_of_each_others_beds(up: Machines, bed: Bed) -> None:
    said = up.streambed("down", status=1).stderr
    assert f"STREAMBED_BED={up.path} vagrant destroy -f" in said
    theirs = Machines(bed.path, {**up.env, "STREAMBED_BED": bed.path} | _prefix_of_tests())
    assert "was made by ./streambed up" in theirs.vagrant("up", status=1)
    assert json.loads(streambed("status", "-i", bed.path, "--json").stdout)["stage"] == "verified"


def _prefix_of_tests() -> dict[str, str]:
    return {"STREAMBED_BED_PREFIX": os.environ["STREAMBED_BED_PREFIX"]}


def test_an_experiment_counts_as_on_any_bed(
    up: Machines, tmp_path: Path, by_door: dict[str, dict[str, Any]]
) -> None:
    said = up.streambed("run", up.small, "--results", str(tmp_path), *CELL).stderr
    assert "bringing it up" not in said
    assert "provisioning" not in said
    (row,) = rows(tmp_path, "small")
    assert row["status"] == "ok", row["reason"]
    by_door["vagrant"] = row


def test_machines_that_were_halted_are_a_verified_bed_again(up: Machines) -> None:
    up.vagrant("halt")
    assert set(up.states().values()) == {"stopped"}
    said = up.streambed("up", status=1).stderr
    assert f"STREAMBED_BED={up.path} vagrant up" in said
    assert "checks passed" in up.vagrant("up")
    assert set(up.states().values()) == {"running"}


def test_provisioning_again_changes_nothing(up: Machines) -> None:
    said = up.vagrant("provision")
    assert " 0 changes" in said


def test_destroying_leaves_nothing(up: Machines) -> None:
    up.vagrant("destroy", "--force")
    assert leftovers(NAME) == []
    assert not inventory.maker_file(NAME).exists()
    assert not (inventory.maker_file(NAME).parent / "ssh").exists()
    assert set(up.states().values()) == {"not_created"}
