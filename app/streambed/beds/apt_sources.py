"""Where node packages come from: wherever this host's own Debian packages come from.

No mirror is named in the project. The host's sources, in either of apt's two formats, are
read, third parties are left out, and the release is set to the nodes'.
"""

import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from streambed.errors import StreambedError

NODE_RELEASE = "bookworm"

# The parts of a release that a node follows.
_PARTS = ("", "-updates", "-security")


@dataclass(frozen=True)
class Source:
    """One `deb` line."""

    uri: str
    suite: str
    components: tuple[str, ...]
    options: tuple[tuple[str, str], ...] = ()
    """Such as ("signed-by", "/usr/share/keyrings/...")."""

    def render(self) -> str:
        options = " ".join(f"{key}={value}" for key, value in self.options)
        bracket = f"[{options}] " if options else ""
        return f"deb {bracket}{self.uri} {self.suite} {' '.join(self.components)}"


def parse_lines(text: str) -> Iterator[Source]:
    """The binary sources of a `.list` file."""
    for line in text.splitlines():
        match = re.match(r"\s*deb\s+(?:\[(?P<options>[^]]*)\]\s+)?(?P<rest>[^#]+)", line)
        if match is None:
            continue
        options = tuple(
            (key, value)
            for key, _, value in (
                word.partition("=") for word in shlex.split(match["options"] or "")
            )
        )
        uri, suite, *components = match["rest"].split()
        yield Source(uri, suite, tuple(components), options)


def parse_deb822(text: str) -> Iterator[Source]:
    """The binary sources of a `.sources` file."""
    for stanza in re.split(r"\n[ \t]*\n", text):
        fields = _fields(stanza)
        if "deb" not in fields.get("types", "").split() or fields.get("enabled") == "no":
            continue
        options = tuple(
            (key, fields[key])
            for key in ("signed-by", "trusted", "check-valid-until")
            # A key written into the file itself has no one-line form; apt's own trust serves.
            if key in fields and "\n" not in fields[key].strip()
        )
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield Source(uri, suite, tuple(fields.get("components", "").split()), options)


def _fields(stanza: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    key = ""
    for line in stanza.splitlines():
        if line.startswith("#"):
            continue
        if line[:1].isspace() and key:
            fields[key] += "\n" + line.strip()
        elif ":" in line:
            name, _, value = line.partition(":")
            key = name.strip().lower()
            fields[key] = value.strip()
    return fields


def for_nodes(sources: list[Source], host_release: str) -> list[Source]:
    """The sources of Debian itself, set to the nodes' release; only `main` is needed."""
    wanted = {host_release + part: NODE_RELEASE + part for part in _PARTS}
    chosen = [
        Source(_plain_uri(source.uri), wanted[source.suite], ("main",), source.options)
        for source in sources
        if source.suite in wanted and "main" in source.components
    ]
    return list(dict.fromkeys(chosen))


def _plain_uri(uri: str) -> str:
    """`mirror+file:` (cloud images have it) names a list of mirrors; its first one serves."""
    if not uri.startswith("mirror+file:"):
        return uri
    path = Path("/" + uri.removeprefix("mirror+file:").lstrip("/"))
    for line in path.read_text().splitlines():
        words = line.split("#")[0].split()
        if words:
            return words[0]
    raise StreambedError(f"{path} names no mirror")


def of_this_host() -> list[Source]:
    """The node release's sources, from `STREAMBED_APT_SOURCES` or the host's own files.

    Raises:
        StreambedError: the host is not Debian, or none of its sources is Debian's own.
    """
    given = os.environ.get("STREAMBED_APT_SOURCES")
    if given:
        path = Path(given)
        if not path.is_file():
            raise StreambedError(f"STREAMBED_APT_SOURCES: there is no file {given}")
        found = for_nodes(list(_parse(path)), NODE_RELEASE)
    else:
        release = _host_release()
        files = [
            Path("/etc/apt/sources.list"),
            *sorted(Path("/etc/apt/sources.list.d").glob("*")),
        ]
        found = for_nodes(
            [source for path in files if path.is_file() for source in _parse(path)],
            release,
        )
    if not any(source.suite == NODE_RELEASE for source in found):
        raise StreambedError(
            f"no apt source of this host gives Debian {NODE_RELEASE}",
            hint="set STREAMBED_APT_SOURCES to a sources file for it",
        )
    return found


def _parse(path: Path) -> Iterator[Source]:
    if path.suffix == ".sources":
        yield from parse_deb822(path.read_text())
    elif path.suffix == ".list":
        yield from parse_lines(path.read_text())


def _host_release() -> str:
    fields = dict(
        line.split("=", 1)
        for line in Path("/etc/os-release").read_text().splitlines()
        if "=" in line
    )
    if fields.get("ID", "").strip('"') != "debian":
        raise StreambedError(
            "nodes are made from Debian packages, and this host's own sources are not Debian's",
            hint=f"set STREAMBED_APT_SOURCES to a sources file for Debian {NODE_RELEASE}",
        )
    return fields.get("VERSION_CODENAME", "").strip('"')
