"""Debian packages: with all that they need, as a repository that apt reads, or by themselves.

apt checks signatures as the host's own settings say, and nothing of the host's apt is changed.
"""

import hashlib
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote

from streambed.artifacts.command import run_client
from streambed.errors import StreambedError

INDEX = "Packages"

Releases = Mapping[str, str]
"""Name of a package → its version."""

_OFFERED = re.compile(r"(?m)^'[^']+' (?P<name>[^_\s]+)_(?P<version>[^_\s]+)_[a-z0-9]+\.deb ")


def fetch(names: Sequence[str], sources: str, *, scratch: Path, target: Path) -> None:
    """Fill `target` with packages and the closure of their dependencies, and with an index.

    As if for a machine on which nothing but Debian's essential packages is installed.

    Args:
        names: of the packages.
        sources: lines of a `sources.list` for the release that they are for.
        scratch: an empty directory for apt's own files.
        target: an empty directory.

    Raises:
        StreambedError: apt fails, or one of the packages is unknown.
    """
    apt = _Apt(sources, scratch)
    apt.run("install", "--download-only", "--no-install-recommends", *names)
    for package in sorted((scratch / "cache" / "archives").glob("*.deb")):
        package.rename(target / _plain(package.name))
    write_index(target)


def fetch_releases(
    releases: Releases, sources: str, *, scratch: Path, target: Path, lock: int
) -> None:
    """Fill `target` with these releases of packages, without what they depend on.

    Args:
        releases: of each package the one that is wanted.
        sources: as in `fetch`.
        scratch: directory for apt's own files.
        target: directory for the packages.
        lock: descriptor of the component's lock, inherited by apt.

    Raises:
        StreambedError: apt fails, or does not have one of the releases.
    """
    apt = _Apt(sources, scratch, keep_open=(lock,))
    apt.run("download", *(f"{name}={version}" for name, version in releases.items()), cwd=target)
    for package in sorted(target.glob("*.deb")):
        package.rename(target / _plain(package.name))


def offered(names: Sequence[str], sources: str, *, scratch: Path) -> Releases:
    """The newest release of each package, in this order.

    Raises:
        StreambedError: apt fails, or one of the packages is unknown.
    """
    said = _Apt(sources, scratch).run("download", "--print-uris", *names)
    found = {match["name"]: unquote(match["version"]) for match in _OFFERED.finditer(said)}
    return {name: found[name] for name in names}


class _Apt:
    """apt with sources of its own, and with lists that are new."""

    def __init__(self, sources: str, scratch: Path, *, keep_open: Sequence[int] = ()) -> None:
        self._scratch, self._keep_open = scratch, keep_open
        lists = scratch / "sources.list"
        lists.write_text(sources)
        status = scratch / "status"
        status.touch()
        for part in ("state/lists/partial", "cache/archives/partial"):
            (scratch / part).mkdir(parents=True, exist_ok=True)
        settings = {
            "APT::Architecture": "amd64",
            "APT::Architectures": "amd64",
            "APT::Sandbox::User": "root",
            "Acquire::Languages": "none",
            "Debug::NoLocking": "true",
            "Dir::Cache": str(scratch / "cache"),
            "Dir::Etc::SourceList": str(lists),
            "Dir::Etc::SourceParts": "-",
            "Dir::State": str(scratch / "state"),
            "Dir::State::Status": str(status),
        }
        self._options = [word for item in settings.items() for word in ("-o", "=".join(item))]
        self.run("update")

    def run(self, command: str, *arguments: str, cwd: Path | None = None) -> str:
        """What apt-get says."""
        log = self._scratch / f"{command}.log"
        run_client(
            ["apt-get", "--quiet", "--yes", *self._options, command, *arguments],
            log=log,
            keep_open=self._keep_open,
            environment={"LC_ALL": "C"},
            cwd=cwd,
            what="fetching Debian packages",
        )
        return log.read_text(encoding="utf-8", errors="replace")


def _plain(name: str) -> str:
    # apt would take an escaped colon in a file's name for a colon.
    return name.replace("%3a", "-")


def write_index(directory: Path) -> None:
    """Write what apt has to know of the packages in a directory."""
    stanzas = [_stanza(package) for package in sorted(directory.glob("*.deb"))]
    (directory / INDEX).write_text("\n".join(stanzas))


def _stanza(package: Path) -> str:
    done = subprocess.run(
        ["dpkg-deb", "--field", str(package)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise StreambedError(f"{package} is no Debian package: {done.stderr.strip()}")
    with package.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return (
        f"{done.stdout.rstrip()}\nFilename: ./{package.name}\n"
        f"Size: {package.stat().st_size}\nSHA256: {digest}\n"
    )
