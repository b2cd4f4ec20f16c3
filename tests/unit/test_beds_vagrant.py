"""What the Vagrantfile is told, and how beds of different makers keep out of each other's way."""

import contextlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from streambed import inventory
from streambed.beds import baked_image, disks, lifecycle, network, podman, readiness, ssh, vagrant
from streambed.beds.names import names_of
from streambed.beds.podman_provider import create_arguments
from streambed.beds.providers import provider_of
from streambed.beds.static_provider import StaticProvider
from streambed.errors import StreambedError
from streambed.inventory import Inventory


def machines(bed: Inventory) -> list[dict[str, Any]]:
    described = vagrant.describe(bed)["machines"]
    assert isinstance(described, list)
    return described


def said(text: str) -> None:
    del text


def test_a_container_of_vagrant_is_what_the_container_provider_would_make() -> None:
    bed = inventory.load("duo")
    for node, machine in zip(bed.nodes, machines(bed), strict=True):
        names = names_of(bed.name)
        wanted = create_arguments(node, names)
        assert machine["container"] == names.container(node.name)
        assert set(wanted) - set(machine["arguments"]) == {f"--name={machine['container']}"}
        assert "--label=streambed.maker=vagrant" in machine["arguments"]
        assert any(machine["seed"] in word for word in machine["arguments"])


def test_brokers_of_vagrant_have_their_disks() -> None:
    for machine in machines(inventory.load("duo")):
        (disk,) = (word for word in machine["arguments"] if word.endswith(":/var/lib/kafka"))
        assert disk == f"--volume={names_of('duo').disk(machine['node'])}:/var/lib/kafka"


def test_disks_are_made_with_the_machines_and_go_with_the_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bed = inventory.load("duo")
    done: list[str] = []
    provider = SimpleNamespace(check=lambda: None, containers=lambda *_: set())
    monkeypatch.setattr(vagrant, "PodmanProvider", lambda *_, **__: provider)
    monkeypatch.setattr(readiness, "check", lambda **_: None)
    monkeypatch.setattr(baked_image, "name_if_there", lambda: "image")
    monkeypatch.setattr(baked_image, "ensure", lambda _: "image")
    monkeypatch.setattr(network, "ensure", lambda *_: None)
    monkeypatch.setattr(disks, "make", lambda node, _: done.append(node.name))
    vagrant._prepare_containers(bed, ["cloud"], said)
    assert done == ["cloud"]
    monkeypatch.setattr(lifecycle, "alone", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr(lifecycle, "forget", lambda _: None)
    monkeypatch.setattr(network, "remove", lambda _: True)
    monkeypatch.setattr(disks, "remove", lambda names: done.append(names.bed))
    vagrant.release(replace(bed, provider="vagrant-docker"), on_step=said)
    assert done == ["cloud", "duo"]


def test_machines_that_vagrant_has_forgotten_go_with_the_bed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its directory is lost, so that its own `destroy` finds nothing to remove."""
    bed = replace(inventory.load("duo"), provider="vagrant-docker")
    there = {names_of("duo").container(node.name): node.name for node in bed.nodes}
    removed: list[str] = []
    provider = SimpleNamespace(containers=lambda *_: set(there.values()))
    monkeypatch.setattr(vagrant, "PodmanProvider", lambda *_, **__: provider)
    monkeypatch.setattr(podman, "call", lambda *words: there.pop(words[-1]))
    monkeypatch.setattr(lifecycle, "alone", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr(lifecycle, "forget", lambda bed: removed.append(bed.name))
    monkeypatch.setattr(network, "remove", lambda _: True)
    monkeypatch.setattr(disks, "remove", lambda _: None)
    vagrant.release(bed, on_step=said)
    assert there == {}
    assert removed == ["duo"]


def test_sizes_of_virtual_machines_are_whole_processors() -> None:
    client, cloud = machines(inventory.load("duo"))
    assert (client["processors"], client["memory_mib"]) == (1, 3072)
    assert (cloud["processors"], cloud["memory_mib"]) == (2, 8192)


def test_machines_of_another_bed_carry_its_name() -> None:
    assert [machine["name"] for machine in machines(inventory.load("duo"))] == ["client", "cloud"]
    cluster = machines(inventory.load("cluster"))
    assert cluster[0]["name"] == "cluster-client"
    assert cluster[0]["node"] == "client"


def test_machines_that_are_there_already_are_not_vagrants() -> None:
    with pytest.raises(StreambedError, match="bed_provider: static"):
        vagrant.describe(inventory.load("lab"))


def test_an_unknown_vagrant_provider_is_answered_with_those_that_are_known() -> None:
    with pytest.raises(StreambedError, match="'hyperv' is not known; known: docker, libvirt"):
        vagrant.prepare(inventory.load("duo"), "hyperv", [], say=said, on_step=said)


@pytest.mark.parametrize("path", ["duo", "cluster"])
def test_a_bed_that_vagrant_made_is_removed_by_vagrant_only(path: str) -> None:
    bed = replace(inventory.load(path), provider="vagrant-libvirt")
    provider = provider_of(bed, say=said)
    assert provider.name == "vagrant-libvirt"
    with pytest.raises(StreambedError, match="made by vagrant") as refused:
        provider.destroy()
    hint = refused.value.hint
    assert hint.endswith("vagrant destroy -f")
    assert ("STREAMBED_BED=" in hint) == (path != "duo")


def test_a_lab_is_left_by_the_teardown_playbook_only() -> None:
    bed = inventory.load("lab")
    provider = provider_of(bed, say=said)
    assert isinstance(provider, StaticProvider)
    with pytest.raises(StreambedError, match="did not make") as refused:
        provider.destroy()
    assert "ansible/teardown.yml" in refused.value.hint
    with pytest.raises(StreambedError, match="camera"):
        provider.stop("camera")


def test_machines_of_a_lab_are_up_when_they_let_us_in(monkeypatch: pytest.MonkeyPatch) -> None:
    refusals = {"camera": "Permission denied", "cloud": None}
    monkeypatch.setattr(ssh, "_refusal", lambda node: refusals[node.name])
    states = provider_of(inventory.load("lab"), say=said).states()
    assert {state.name: state.condition for state in states} == {
        "camera": "stopped",
        "cloud": "running",
    }


def test_the_vagrantfile_has_no_list_of_nodes() -> None:
    text = (Path(__file__).parents[2] / "Vagrantfile").read_text()
    for node in inventory.load("duo").nodes:
        assert node.address not in text
        assert f'"{node.name}"' not in text
