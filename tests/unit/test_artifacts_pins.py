from pathlib import Path

import pytest

from streambed.artifacts.components import COMPONENTS
from streambed.artifacts.digest import digest_of_members
from streambed.artifacts.mnist import MNIST_FILES
from streambed.artifacts.pins import (
    LOCK_FILE,
    NODE_WHEELS_FILE,
    VERSIONS_FILE,
    load_lock,
    load_versions,
    pins_digest,
    render_lock,
)
from streambed.errors import StreambedError


def test_the_committed_lock_belongs_to_the_pins_and_covers_every_component() -> None:
    lock = load_lock()
    assert set(lock.artifacts) == set(COMPONENTS)
    for artifact in lock.artifacts.values():
        assert digest_of_members(artifact.members) in artifact.file
        assert all(len(sha256) == 64 for sha256 in artifact.members.values())


def test_the_lock_as_written_is_the_lock_as_read() -> None:
    assert render_lock(load_lock()) == LOCK_FILE.read_text()


def test_the_lock_pins_mnist_as_it_was_published() -> None:
    assert load_lock().artifacts["mnist"].members == MNIST_FILES


def test_a_changed_version_asks_for_a_new_lock(tmp_path: Path) -> None:
    stale = tmp_path / "artifacts.lock.yml"
    text = LOCK_FILE.read_text()
    stale.write_text(text.replace(load_lock().pins, "0" * 12))
    with pytest.raises(StreambedError, match="does not belong") as caught:
        load_lock(stale)
    assert "./streambed lock" in caught.value.hint


@pytest.mark.parametrize("change", ["version", "wheels"])
def test_every_pin_counts(change: str) -> None:
    versions = dict(load_versions())
    wheels = NODE_WHEELS_FILE.read_bytes()
    before = pins_digest(versions, wheels)
    if change == "version":
        versions["kafka"] += ".1"
    else:
        wheels += b"\n"
    assert pins_digest(versions, wheels) != before


def test_a_version_that_yaml_reads_as_a_number_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "versions.yml"
    path.write_text("streambed_versions:\n  scala: 2.13\n")
    with pytest.raises(StreambedError, match=r"scala: 2\.13 is a float"):
        load_versions(path)


@pytest.mark.parametrize("text", ["", "[]", "streambed_versions: 3", "a: b: c"])
def test_a_damaged_file_is_an_error_that_names_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "versions.yml"
    path.write_text(text)
    with pytest.raises(StreambedError, match=r"versions\.yml"):
        load_versions(path)


def test_no_lock_names_a_registry() -> None:
    for path in (
        LOCK_FILE,
        VERSIONS_FILE,
        NODE_WHEELS_FILE,
        *NODE_WHEELS_FILE.parent.glob("*.lock"),
    ):
        assert "://" not in path.read_text(), path
