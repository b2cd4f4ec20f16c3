"""The pins: versions asked for (`ansible/versions.yml`) and files they stand for (the lock)."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from streambed import paths
from streambed.errors import StreambedError

VERSIONS_FILE = paths.ROOT / "ansible" / "versions.yml"
LOCK_FILE = paths.ROOT / "ansible" / "artifacts.lock.yml"
NODE_WHEELS_FILE = paths.ROOT / "requirements-node.lock"

Versions = Mapping[str, str]


@dataclass(frozen=True)
class Artifact:
    """One component as the lock pins it: a single file in the cache, and what is in it."""

    name: str
    version: str
    file: str
    """Its name in the cache; holds a digest of the members, so that it changes with them."""
    sha256: str
    size_bytes: int
    members: Mapping[str, str]
    """SHA-256 of each fetched file, by its path within the packed file."""


@dataclass(frozen=True)
class Lock:
    """The whole lock."""

    pins: str
    """Digest of the versions and of the wheel lock that it was made from."""
    artifacts: Mapping[str, Artifact]


def load_versions(path: Path = VERSIONS_FILE) -> Versions:
    """Read the versions.

    Raises:
        StreambedError: a version is no string (YAML reads an unquoted 2.10 as the number 2.1).
    """
    versions = _mapping(path, "streambed_versions")
    for name, version in versions.items():
        if not isinstance(version, str):
            raise StreambedError(
                f"{path}: {name}: {version!r} is a {type(version).__name__}, not a string",
                hint="put the version in quotes",
            )
    return versions


def pins_digest(versions: Versions, node_wheels: bytes) -> str:
    """Twelve hex digits that change with any version and with the node wheels' lock."""
    text = "".join(f"{name}={version}\n" for name, version in sorted(versions.items()))
    return hashlib.sha256(text.encode() + node_wheels).hexdigest()[:12]


def current_pins() -> str:
    """The digest for this clone's files as they are now."""
    return pins_digest(load_versions(), NODE_WHEELS_FILE.read_bytes())


def load_lock(path: Path = LOCK_FILE, *, pins: str | None = None) -> Lock:
    """Read the lock; `pins` is the digest that it must belong to, by default this clone's.

    Raises:
        StreambedError: it is missing, damaged, or older than the pins.
    """
    entries = _mapping(path, "streambed_artifacts")
    found = entries.pop("pins", "")
    if found != (current_pins() if pins is None else pins):
        raise StreambedError(
            f"{path} does not belong to the versions in {VERSIONS_FILE.name} and "
            f"{NODE_WHEELS_FILE.name}",
            hint="lock anew: ./streambed lock",
        )
    try:
        artifacts = {name: _artifact(name, entry) for name, entry in entries.items()}
    except (KeyError, TypeError) as error:
        raise StreambedError(
            f"{path}: {error} is missing or of the wrong kind",
            hint="lock anew: ./streambed lock",
        ) from error
    return Lock(pins=found, artifacts=artifacts)


def render_lock(lock: Lock, *, made_from: str | None = None) -> str:
    """The lock as YAML, the same text for the same pins; `made_from` names other ones."""
    head = [
        "# Written by `./streambed lock`. The pins it was made from: versions.yml and",
        "# requirements-node.lock.",
    ]
    if made_from is not None:
        head = ["# Written by `./streambed lock --engine`. The pins it was made from:"]
        head.append(f"# {made_from}.")
    lines = [
        "---",
        *head,
        "streambed_artifacts:",
        f'  pins: "{lock.pins}"',
    ]
    for name, artifact in sorted(lock.artifacts.items()):
        lines += [
            f"  {name}:",
            f'    version: "{artifact.version}"',
            f"    file: {artifact.file}",
            f'    sha256: "{artifact.sha256}"',
            f"    size_bytes: {artifact.size_bytes}",
            "    members:",
        ]
        lines += [f'      {member}: "{sha}"' for member, sha in sorted(artifact.members.items())]
    return "\n".join(lines) + "\n"


def _artifact(name: str, entry: Mapping[str, Any]) -> Artifact:
    return Artifact(
        name=name,
        version=str(entry["version"]),
        file=str(entry["file"]),
        sha256=str(entry["sha256"]),
        size_bytes=int(entry["size_bytes"]),
        members={str(path): str(sha) for path, sha in entry["members"].items()},
    )


def _mapping(path: Path, key: str) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StreambedError(f"{path} is missing", hint="git checkout -- ansible") from error
    except yaml.YAMLError as error:
        raise StreambedError(f"{path} is not YAML: {error}") from error
    content = document.get(key) if isinstance(document, dict) else None
    if not isinstance(content, dict):
        raise StreambedError(f"{path}: the mapping `{key}` is missing")
    return dict(content)
