"""A directory of Debian packages as a repository: what apt is told of each."""

import hashlib
import subprocess
from pathlib import Path

import pytest

from streambed.artifacts import debs
from streambed.errors import StreambedError


def package(folder: Path, name: str) -> Path:
    """A package that holds nothing."""
    control = folder / name / "DEBIAN" / "control"
    control.parent.mkdir(parents=True)
    control.write_text(
        f"Package: {name}\nVersion: 1:2.0\nArchitecture: all\nMaintainer: A <a@example.org>\n"
        "Description: nothing\n at all\n"
    )
    target = folder / "debs" / f"{name}_2.0_all.deb"
    target.parent.mkdir(exist_ok=True)
    command = ["dpkg-deb", "--root-owner-group", "--build", str(folder / name), str(target)]
    subprocess.run(command, check=True, capture_output=True)
    return target


def test_the_index_names_each_package_its_file_and_its_checksum(tmp_path: Path) -> None:
    first, second = package(tmp_path, "aa"), package(tmp_path, "bb")
    debs.write_index(first.parent)
    text = (first.parent / debs.INDEX).read_text()
    stanzas = [
        dict(line.split(": ", 1) for line in stanza.splitlines() if not line.startswith(" "))
        for stanza in text.split("\n\n")
    ]
    assert [stanza["Package"] for stanza in stanzas] == ["aa", "bb"]
    for stanza, file in zip(stanzas, (first, second), strict=True):
        assert stanza["Version"] == "1:2.0"
        assert stanza["Filename"] == f"./{file.name}"
        assert int(stanza["Size"]) == file.stat().st_size
        assert stanza["SHA256"] == hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_file_that_is_no_package_is_named(tmp_path: Path) -> None:
    (tmp_path / "half.deb").write_text("!<arch>")
    with pytest.raises(StreambedError, match=r"half\.deb is no Debian package"):
        debs.write_index(tmp_path)


def test_one_release_of_a_package_is_fetched_without_what_it_depends_on(tmp_path: Path) -> None:
    """By apt, from a mirror that is a directory."""
    mirror = package(tmp_path, "aa").parent
    package(tmp_path, "bb")
    debs.write_index(mirror)
    sources = f"deb [trusted=yes] file:{mirror} ./\n"
    first, second, target = (tmp_path / name for name in ("first", "second", "target"))
    for folder in (first, second, target):
        folder.mkdir()
    assert debs.offered(["bb", "aa"], sources, scratch=first) == {"bb": "1:2.0", "aa": "1:2.0"}
    with (tmp_path / "lock").open("w") as lock:
        debs.fetch_releases(
            {"aa": "1:2.0"}, sources, scratch=second, target=target, lock=lock.fileno()
        )
        assert [path.name for path in target.iterdir()] == ["aa_1-2.0_all.deb"]
        # Again, as after an attempt that was cut short.
        with pytest.raises(StreambedError, match=r"Version '3\.0' for 'aa' was not found"):
            debs.fetch_releases(
                {"aa": "3.0"}, sources, scratch=second, target=target, lock=lock.fileno()
            )
