"""What runs in which version, and which of it has known advisories, where a registry tells.

Python packages are asked about with pip-audit, which uv fetches for the call. Nobody is asked about
Java archives and Debian packages. The former are listed for who has a scanner, and so are Debian
packages of a training engine, which are of the release itself; all others are those of the node
image's Debian release, with its security updates.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from streambed import console, paths
from streambed.artifacts.engines import OF_DEBIAN, releases, stem
from streambed.artifacts.pins import load_lock, load_versions
from streambed.pipelines.training.names import EXTRAS

AUDITOR = "pip-audit==2.9.0"
"""Not a dependency: only who audits fetches it, with its own."""

_LOCKS = {"controller": "requirements.lock", "nodes": "requirements-node.lock"}
_TIMEOUT_S = 300
_JAR = re.compile(r"(?P<name>.+?)-(?P<version>\d[\w.+-]*)\.jar$")


@dataclass(frozen=True)
class Part:
    """Something that runs; `advisories` is None when nobody was asked."""

    name: str
    version: str
    kind: str
    where: str
    advisories: tuple[str, ...] | None = None


def locks() -> dict[str, Path]:
    """Where Python packages run → their lock; of training engines those that are pinned."""
    found = {where: paths.ROOT / name for where, name in _LOCKS.items()}
    wheels = [name for name in EXTRAS if name not in OF_DEBIAN]
    extras = {f"engine {name}": paths.ROOT / f"{stem(name)}.lock" for name in wheels}
    return found | {where: lock for where, lock in extras.items() if lock.is_file()}


def java() -> Iterator[Part]:
    """Java itself, and every archive that the nodes get."""
    yield Part("java", load_versions()["java"], "Debian package", "nodes")
    for artifact in load_lock().artifacts.values():
        for member in artifact.members:
            found = _JAR.match(Path(member).name)
            if found is not None:
                yield Part(found["name"], found["version"], "Java archive", "nodes")


def debian() -> Iterator[Part]:
    """Debian packages that training engines are made of, where they are pinned."""
    for name in OF_DEBIAN:
        if (paths.ROOT / f"{stem(name)}.lock").is_file():
            for package, version in releases(name).items():
                yield Part(package, version, "Debian package", f"engine {name}")


def python(advisories: Mapping[str, Mapping[str, tuple[str, ...]] | None]) -> Iterator[Part]:
    """Every Python package of the locks.

    Args:
        advisories: where → name of a package → its advisories; None where nobody was asked.
    """
    for where, lock in locks().items():
        asked = advisories.get(where)
        for line in lock.read_text().splitlines():
            name, pinned, version = line.removesuffix("\\").strip().partition("==")
            if pinned and not name.startswith(("#", "-")):
                known = None if asked is None else asked.get(name.lower(), ())
                yield Part(name, version.split()[0], "Python package", where, known)


def ask(where: str) -> Mapping[str, tuple[str, ...]] | None:
    """Name of a package → its advisories; None, with a warning, when they cannot be had."""
    lock = locks()[where]
    uv = Path(sys.executable).parent / "uv"
    command = [str(uv), "tool", "run", "--from", AUDITOR, "pip-audit", "--progress-spinner", "off"]
    command += ["--requirement", str(lock), "--require-hashes", "--disable-pip", "--format", "json"]
    with console.err.status(f"asking about the packages of the {where}"):
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
            )
            return parse(done.stdout)
        except (OSError, subprocess.TimeoutExpired, ValueError, KeyError) as error:
            words = "" if isinstance(error, OSError | subprocess.TimeoutExpired) else done.stderr
            reason = (words.strip().splitlines() or [str(error)])[-1]
            console.warn(f"advisories on the packages of the {where} are not known: {reason}")
            return None


def parse(text: str) -> dict[str, tuple[str, ...]]:
    """What pip-audit says in JSON: name → advisories, each with the version that mends it."""
    found: dict[str, tuple[str, ...]] = {}
    for each in json.loads(text)["dependencies"]:
        told = [
            f"{one['id']} (mended in {', '.join(one['fix_versions']) or 'none'})"
            for one in each.get("vulns", [])
        ]
        found[str(each["name"]).lower()] = tuple(told)
    return found


def show(*, offline: bool, as_json: bool) -> bool:
    """Print everything that runs; False when something has an advisory.

    Args:
        offline: ask nobody, only list.
        as_json: a list of objects instead of a table.
    """
    told = {where: None if offline else ask(where) for where in locks()}
    parts = [*java(), *debian(), *python(told)]
    bad = [part for part in parts if part.advisories]
    if as_json:
        rows: list[dict[str, Any]] = [asdict(part) for part in parts]
        console.out.print_json(json.dumps(rows))
        return not bad
    table = Table("what", "version", "kind", "where", "advisories", box=None, pad_edge=False)
    for part in parts:
        said = "not asked" if part.advisories is None else "; ".join(part.advisories) or "none"
        table.add_row(part.name, part.version, part.kind, part.where, escape(said))
    console.out.print(table)
    asked = sum(part.advisories is not None for part in parts)
    console.out.print(f"{len(parts)} parts, {asked} asked about, {len(bad)} with advisories")
    return not bad
