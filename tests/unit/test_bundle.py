"""The bundle's file: a clone and its cache, whole or not there."""

import os
import subprocess
from pathlib import Path

import pytest

from streambed import bundle


@pytest.fixture
def members(tmp_path: Path) -> dict[str, Path]:
    """A small clone, as git packs it, and an artifact."""
    clone = tmp_path / "clone"
    (clone / "inventory" / "duo").mkdir(parents=True)
    (clone / "inventory" / "group_vars").mkdir()
    (clone / "inventory" / "duo" / "group_vars").symlink_to("../group_vars")
    (clone / "inventory" / "group_vars" / "all.yml").write_text("bed_name: duo\n")
    (clone / "streambed").write_text("#!/bin/sh\n")
    (clone / "streambed").chmod(0o755)
    names = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.org"}
    names |= {"GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@example.org"}
    prefix = "--prefix=streambed-bundle/streambed/"
    for command in (
        ("init", "--quiet"),
        ("add", "--all"),
        ("commit", "--quiet", "--message=All"),
        ("archive", prefix, f"--output={tmp_path / 'clone.tar'}", "HEAD"),
    ):
        subprocess.run(["git", "-C", clone, *command], env=os.environ | names, check=True)
    artifact = tmp_path / "kafka.tgz"
    artifact.write_bytes(b"kafka")
    return {"clone.tar": tmp_path / "clone.tar", "cache/artifacts/kafka.tgz": artifact}


def test_what_is_unpacked_is_the_clone_and_its_cache(
    tmp_path: Path, members: dict[str, Path]
) -> None:
    target = tmp_path / "bundle.tar"
    bundle._write(target, members)
    assert not list(tmp_path.glob("*.part"))
    subprocess.run(["tar", "-xf", target, "-C", tmp_path], check=True)
    top = tmp_path / "streambed-bundle"
    assert (top / "cache" / "artifacts" / "kafka.tgz").read_bytes() == b"kafka"
    assert "export STREAMBED_CACHE=$PWD/cache" in (top / "README").read_text()
    clone = top / "streambed"
    assert os.access(clone / "streambed", os.X_OK)
    assert not os.access(clone / "inventory" / "group_vars" / "all.yml", os.X_OK)
    assert (clone / "inventory" / "duo" / "group_vars").is_symlink()
    assert (clone / "inventory" / "duo" / "group_vars" / "all.yml").read_text() == "bed_name: duo\n"


def test_a_bundle_that_was_cut_short_is_none(tmp_path: Path, members: dict[str, Path]) -> None:
    members["cache/artifacts/kafka.tgz"].unlink()
    with pytest.raises(FileNotFoundError):
        bundle._write(tmp_path / "bundle.tar", members)
    assert not list(tmp_path.glob("bundle.tar*"))
