"""The launcher, for real: these tests run in the environment that it built."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from streambed import paths

LAUNCHER = paths.ROOT / "streambed"


def _run(
    *arguments: str, at: Path, launcher: Path = LAUNCHER, **environment: str
) -> subprocess.CompletedProcess[str]:
    cache = {"STREAMBED_CACHE": str(paths.cache_dir())}
    return subprocess.run(
        [str(launcher), *arguments],
        cwd=at,
        env={"PATH": "/usr/bin:/bin"} | cache | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_runs_from_anywhere_through_a_link_and_without_a_home(tmp_path: Path) -> None:
    folder = tmp_path / "a folder with spaces"
    folder.mkdir()
    (folder / "rich.py").write_text("raise SystemExit('not this one')")
    link = folder / "my streambed"
    link.symlink_to(LAUNCHER)
    done = _run("--help", at=folder, launcher=link)
    assert done.returncode == 0, done.stderr
    assert "doctor" in done.stdout


def test_it_runs_from_a_clone_whose_path_has_spaces(tmp_path: Path) -> None:
    clone = tmp_path / "my clone"
    clone.mkdir()
    for name in ("streambed", "app", "requirements.lock"):
        (clone / name).symlink_to(paths.ROOT / name)
    (clone / "streambed").unlink()
    (clone / "streambed").write_bytes(LAUNCHER.read_bytes())
    (clone / "streambed").chmod(0o755)
    done = _run("--help", at=tmp_path, launcher=clone / "streambed")
    assert done.returncode == 0, done.stderr


def test_it_answers_within_a_second_when_nothing_is_missing(tmp_path: Path) -> None:
    def once() -> float:
        start = time.monotonic()
        assert _run("--help", at=tmp_path).returncode == 0
        return time.monotonic() - start

    assert min(once() for _ in range(3)) < 1


@pytest.mark.parametrize("cache", ["/proc/streambed", "/dev/null/cache"])
def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, cache: str) -> None:
    done = _run("--help", at=tmp_path, STREAMBED_CACHE=cache)
    assert done.returncode == 1
    assert cache in done.stderr
    assert "STREAMBED_CACHE=DIR" in done.stderr


def test_an_incomplete_clone_is_named(tmp_path: Path) -> None:
    lonely = tmp_path / "streambed"
    lonely.write_bytes(LAUNCHER.read_bytes())
    lonely.chmod(0o755)
    done = _run("--help", at=tmp_path, launcher=lonely)
    assert done.returncode == 1
    assert str(tmp_path) in done.stderr


def test_its_own_interpreter_is_debians(tmp_path: Path) -> None:
    decoy = tmp_path / "bin" / "python3"
    decoy.parent.mkdir()
    decoy.write_text("#!/bin/sh\nexit 99\n")
    decoy.chmod(0o755)
    done = _run("--help", at=tmp_path, PATH=f"{decoy.parent}{os.pathsep}/usr/bin:/bin")
    assert done.returncode == 0, done.stderr
