"""What the training engines are made of: extras, with locks of their own, fetched when asked for.

An engine is wheels (`requirements-engine-NAME.in`) or Debian packages (`debian-engine-NAME.in`).
The file says which, `.lock` beside it in which releases, and `ansible/engine-NAME.lock.yml` has
the one file that they are packed into, with checksums. What the nodes have anyway goes with all of
them: it constrains the wheels (requirements-node.lock), and packages are of its Debian release.

Of that release and not of its updates: a mirror keeps the files of the former; an update is gone
with the next one, and a lock that names it is worth nothing then.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path

from streambed import console, paths
from streambed.artifacts import debs
from streambed.artifacts.components import Component, Workshop
from streambed.artifacts.ensuring import fetch_all
from streambed.artifacts.fetching import fetch_unpinned
from streambed.artifacts.pins import (
    Artifact,
    Lock,
    Versions,
    load_lock,
    load_versions,
    pins_digest,
    render_lock,
)
from streambed.artifacts.store import Store
from streambed.artifacts.wheels import fetch_wheels, split_lock
from streambed.beds import apt_sources
from streambed.errors import StreambedError
from streambed.pipelines.training.names import EXTRAS, TORCH

OF_DEBIAN = (TORCH,)
"""PyTorch's wheels without CUDA are in an index of their own; PyPI's need two gigabytes more."""


def stem(name: str) -> str:
    """Of the files that say what an engine is made of, without `.in` and `.lock`."""
    return f"{'debian' if name in OF_DEBIAN else 'requirements'}-engine-{name}"


def listed(name: str) -> tuple[str, ...]:
    """The Debian packages that an engine is made of; the first one's version is the engine's."""
    lines = (paths.ROOT / f"{stem(name)}.in").read_text(encoding="utf-8").splitlines()
    return tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))


def releases(name: str) -> debs.Releases:
    """Those packages as they are locked."""
    lines = _listing(name).read_text(encoding="utf-8").splitlines()
    parts = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {package: version for package, _, version in parts}


def sources() -> str:
    """Where they come from, as lines of a `sources.list`.

    Raises:
        StreambedError: this host has no source of the nodes' release.
    """
    found = apt_sources.of_this_host()
    return "".join(f"{s.render()}\n" for s in found if s.suite == apt_sources.NODE_RELEASE)


def component(name: str) -> Component:
    """An engine as it is fetched."""
    return _of_debian(name) if name in OF_DEBIAN else _of_wheels(name)


def _of_wheels(name: str) -> Component:
    """The lock of the wheels travels with them."""

    def fetch(shop: Workshop, versions: Versions) -> None:
        lock = _listing(name)
        fetch_wheels(
            split_lock(lock.read_text(encoding="utf-8")),
            python=versions["node_python"],
            scratch=shop.scratch,
            target=shop.members,
            lock=shop.lock,
        )
        shutil.copyfile(lock, shop.members / "requirements.lock")

    return Component(f"engine_{name}", lambda versions: f"py{versions['node_python']}", fetch)


def _of_debian(name: str) -> Component:
    def fetch(shop: Workshop, _: Versions) -> None:
        try:
            debs.fetch_releases(
                releases(name),
                sources(),
                scratch=shop.scratch,
                target=shop.members,
                lock=shop.lock,
            )
        except StreambedError as error:
            if "was not found" not in error.message:
                raise
            raise StreambedError(
                error.message,
                hint=f"the mirror has others by now: ./streambed lock --engine {name}",
            ) from error

    return Component(f"engine_{name}", lambda _: releases(name)[listed(name)[0]], fetch)


def locked(name: str) -> Artifact:
    """The pinned artifact of an engine.

    Raises:
        StreambedError: it has no lock, or one that is older than its pins.
    """
    if not _listing(name).is_file() or not _lock_file(name).is_file():
        raise StreambedError(
            f"the training engine {name} is not pinned: {_lock_file(name)} is missing",
            hint=f"./streambed lock --engine {name}",
        )
    try:
        return load_lock(_lock_file(name), pins=_pins(name)).artifacts[f"engine_{name}"]
    except (StreambedError, KeyError) as error:
        raise StreambedError(
            f"{_lock_file(name)} does not belong to {_listing(name).name}",
            hint=f"./streambed lock --engine {name}",
        ) from error


def ensure(names: Iterable[str], *, thorough: bool = True) -> dict[str, Path]:
    """The path of each engine's artifact, fetched and verified; see `ensuring.ensure`.

    Raises:
        StreambedError: one is not pinned, a fetch failed, a checksum is wrong.
    """
    store = Store()
    artifacts = {name: locked(name) for name in names}
    lacking = [one for one in artifacts.values() if not store.holds(one, thorough=thorough)]
    if lacking:
        fetch_all(store, lacking, {f"engine_{name}": component(name) for name in EXTRAS})
    return {name: store.path(one) for name, one in artifacts.items()}


def lock(name: str) -> None:
    """Fetch an engine anew, in the releases of its lock, and write the lock of the artifact.

    Raises:
        StreambedError: a fetch failed.
    """
    console.step(f"fetching engine {name}")
    artifact = fetch_unpinned(Store(), component(name), load_versions())
    made = Lock(pins=_pins(name), artifacts={artifact.name: artifact})
    text = render_lock(made, made_from=f"versions.yml and {_listing(name).name}")
    _lock_file(name).write_text(text, encoding="utf-8")


def _listing(name: str) -> Path:
    return paths.ROOT / f"{stem(name)}.lock"


def _lock_file(name: str) -> Path:
    return paths.ROOT / "ansible" / f"engine-{name}.lock.yml"


def _pins(name: str) -> str:
    versions = load_versions()
    return pins_digest({"node_python": versions["node_python"]}, _listing(name).read_bytes())
