"""Fetching, with a component whose client copies from a local directory: the real machinery."""

import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from streambed.artifacts.components import Component, Workshop
from streambed.artifacts.fetching import fetch, fetch_unpinned
from streambed.artifacts.pins import Artifact, Versions
from streambed.artifacts.store import Store
from streambed.errors import StreambedError


class Registry:
    """A directory that serves two files, and counts how often it was asked."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir()
        (directory / "a.jar").write_bytes(b"a" * 5000)
        (directory / "b.jar").write_bytes(b"b" * 7000)
        self.asked = 0
        self.before: Callable[[Workshop], None] = lambda _: None

    def component(self) -> Component:
        return Component("toy", lambda _: "1.0", self._fetch)

    def _fetch(self, shop: Workshop, _: Versions) -> None:
        self.asked += 1
        self.before(shop)
        for file in self.directory.iterdir():
            if not (shop.members / file.name).exists():
                shutil.copyfile(file, shop.members / file.name)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "registry")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache")


@pytest.fixture
def pinned(registry: Registry, tmp_path: Path) -> Artifact:
    return fetch_unpinned(Store(tmp_path / "maintainer"), registry.component(), {})


def test_a_fetched_artifact_is_held_and_not_fetched_again(
    registry: Registry, store: Store, pinned: Artifact
) -> None:
    registry.asked = 0
    for _ in range(2):
        fetch(store, registry.component(), pinned, {})
    assert registry.asked == 1
    assert store.holds(pinned, thorough=True)


def test_the_packed_file_is_the_same_on_every_machine(
    registry: Registry, store: Store, pinned: Artifact
) -> None:
    for file in registry.directory.iterdir():
        os.utime(file, (1, 1))
        file.chmod(0o600)
    assert fetch_unpinned(store, registry.component(), {}) == pinned


@pytest.mark.parametrize("thorough", [True, False])
def test_a_damaged_file_is_noticed(
    registry: Registry, store: Store, pinned: Artifact, thorough: bool
) -> None:
    fetch(store, registry.component(), pinned, {})
    with store.path(pinned).open("r+b") as file:
        file.seek(1000)
        file.write(b"?")
    assert not store.holds(pinned, thorough=thorough)
    fetch(store, registry.component(), pinned, {})
    assert store.holds(pinned, thorough=True)


def test_damage_that_hides_from_the_clock_is_noticed_on_use(
    registry: Registry, store: Store, pinned: Artifact
) -> None:
    fetch(store, registry.component(), pinned, {})
    path = store.path(pinned)
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert not store.holds(pinned, thorough=True)


def test_a_wrong_checksum_after_a_fresh_fetch_names_both_values(
    registry: Registry, store: Store, pinned: Artifact
) -> None:
    (registry.directory / "b.jar").write_bytes(b"an impostor")
    with pytest.raises(StreambedError) as caught:
        fetch(store, registry.component(), pinned, {})
    assert pinned.members["b.jar"] in caught.value.message
    assert "found" in caught.value.message
    assert not store.path(pinned).exists()
    assert not (store.workshops / "toy").exists()


def test_what_an_earlier_attempt_left_wrong_is_fetched_anew(
    registry: Registry, store: Store, pinned: Artifact
) -> None:
    members = store.workshops / "toy" / "members"
    members.mkdir(parents=True)
    (members / "a.jar").write_bytes(b"half")
    fetch(store, registry.component(), pinned, {})
    assert store.holds(pinned, thorough=True)


def test_a_leftover_that_the_client_trusts_costs_one_more_attempt(
    registry: Registry, store: Store, pinned: Artifact
) -> None:
    def from_scratch(shop: Workshop) -> None:
        if (shop.scratch / "a.jar").exists():
            shutil.copyfile(shop.scratch / "a.jar", shop.members / "a.jar")

    registry.before = from_scratch
    scratch = store.workshops / "toy" / "scratch"
    scratch.mkdir(parents=True)
    (scratch / "a.jar").write_bytes(b"spoilt")
    fetch(store, registry.component(), pinned, {})
    assert store.holds(pinned, thorough=True)


def _fetch_and_die(registry: Registry, store: Store, pinned: Artifact) -> None:
    def die(shop: Workshop) -> None:
        (shop.members / "a.jar").write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)

    registry.before = die
    fetch(store, registry.component(), pinned, {})


def test_a_killed_fetch_leaves_nothing_that_is_trusted(
    registry: Registry, store: Store, pinned: Artifact
) -> None:
    process = multiprocessing.get_context("fork").Process(
        target=_fetch_and_die, args=(registry, store, pinned)
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert not store.path(pinned).exists()
    fetch(store, registry.component(), pinned, {})
    assert store.holds(pinned, thorough=True)


def _fetch_and_count(registry: Registry, store: Store, pinned: Artifact, log: Path) -> None:
    def note(_: Workshop) -> None:
        with log.open("a") as file:
            file.write("asked\n")

    registry.before = note
    fetch(store, registry.component(), pinned, {})


def test_two_processes_fetch_once(
    registry: Registry, store: Store, pinned: Artifact, tmp_path: Path
) -> None:
    log = tmp_path / "asked"
    context = multiprocessing.get_context("fork")
    processes = [
        context.Process(target=_fetch_and_count, args=(registry, store, pinned, log))
        for _ in range(4)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert log.read_text() == "asked\n"


def test_too_small_a_disk_is_refused_before_anything_is_fetched(
    registry: Registry, store: Store, pinned: Artifact
) -> None:
    registry.asked = 0
    huge = Artifact(pinned.name, pinned.version, pinned.file, pinned.sha256, 10**16, pinned.members)
    with pytest.raises(StreambedError, match="are free") as caught:
        fetch(store, registry.component(), huge, {})
    assert "STREAMBED_CACHE" in caught.value.hint
    assert registry.asked == 0
