"""The host's Debian sources, in both formats, set to the nodes' release."""

from pathlib import Path

from streambed.beds import apt_sources
from streambed.beds.apt_sources import Source

DEB822 = """\
# a comment
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: trixie trixie-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian.gpg

Types: deb
URIs: https://other.example/apt
Suites: stable
Components: main

Types: deb
URIs: http://mirror.example/off
Suites: trixie
Components: main
Enabled: no
"""

LINES = """\
deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian bookworm main # here
deb-src http://mirror.example/debian bookworm main
# deb http://mirror.example/debian bookworm-updates main
deb http://security.example/debian-security bookworm-security main non-free
deb http://mirror.example/debian bookworm-backports main
"""


def test_deb822_is_read_and_its_release_replaced() -> None:
    found = apt_sources.for_nodes(list(apt_sources.parse_deb822(DEB822)), "trixie")
    options = (("signed-by", "/usr/share/keyrings/debian.gpg"),)
    assert found == [
        Source("http://mirror.example/debian", "bookworm", ("main",), options),
        Source("http://mirror.example/debian", "bookworm-updates", ("main",), options),
    ]


def test_lines_are_read_without_sources_comments_and_backports() -> None:
    found = apt_sources.for_nodes(list(apt_sources.parse_lines(LINES)), "bookworm")
    assert [one.render() for one in found] == [
        "deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian bookworm main",
        "deb http://security.example/debian-security bookworm-security main",
    ]


def test_a_key_inside_the_file_is_left_to_apts_own_trust() -> None:
    text = (
        "Types: deb\nURIs: http://m.example/d\nSuites: bookworm\nComponents: main\n"
        "Signed-By:\n -----BEGIN PGP\n .\n abc\n"
    )
    (source,) = apt_sources.parse_deb822(text)
    assert source.options == ()


def test_a_list_of_mirrors_gives_its_first(tmp_path: Path) -> None:
    mirrors = tmp_path / "debian.list"
    mirrors.write_text("# mirrors\nhttp://first.example/debian\nhttp://second.example/debian\n")
    source = Source(f"mirror+file:{mirrors}", "bookworm", ("main",))
    (found,) = apt_sources.for_nodes([source], "bookworm")
    assert found.uri == "http://first.example/debian"
