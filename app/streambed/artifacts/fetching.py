"""Fetch one component: into a workshop, checked file by file, packed, checked again."""

import errno
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from streambed.artifacts.components import Component, Workshop
from streambed.artifacts.digest import digest_of_members, sha256_of
from streambed.artifacts.flock import locked
from streambed.artifacts.pack import pack
from streambed.artifacts.pins import Artifact, Versions
from streambed.artifacts.store import Store
from streambed.errors import StreambedError

# The client's files, the members, and the packed copy of them.
_ROOM_FACTOR = 3


def fetch(store: Store, component: Component, artifact: Artifact, versions: Versions) -> None:
    """Put `artifact` into the store unless it is there and right.

    Safe beside other processes, and to be killed at any moment: only a file whose checksum was
    compared gets its final name.

    Raises:
        StreambedError: a client fails, the disk is full, or a fresh file is not as pinned.
    """
    with (
        _disk_full_is_an_error(store),
        locked(store.lock_path(component.name), what=f"fetching {component.name}") as lock,
    ):
        if store.holds(artifact, thorough=True):
            return
        store.discard(artifact)
        store.require_space(_ROOM_FACTOR * artifact.size_bytes, what=f"fetching {component.name}")
        shop = open_workshop(store, component, lock)
        resumed = any(path for path in shop.scratch.iterdir()) or any(shop.members.iterdir())
        discard_wrong_members(shop.members, artifact.members)
        component.fetch(shop, versions)
        wrong = compare(read_members(shop.members), artifact.members)
        if wrong and resumed:
            # What an earlier attempt left may be to blame: once more, from nothing.
            clear_workshop(store, component)
            shop = open_workshop(store, component, lock)
            component.fetch(shop, versions)
            wrong = compare(read_members(shop.members), artifact.members)
        if wrong:
            clear_workshop(store, component)
            raise _wrong_checksum(component.name, wrong)
        packed = pack_component(component, shop)
        found = sha256_of(packed)
        if found != artifact.sha256:
            clear_workshop(store, component)
            raise _wrong_checksum(
                component.name,
                [f"{artifact.file}: expected SHA-256 {artifact.sha256}, found {found}"],
            )
        store.publish(packed, artifact)
        clear_workshop(store, component)


def fetch_unpinned(store: Store, component: Component, versions: Versions) -> Artifact:
    """Fetch a component from nothing and return what the lock is to say about it."""
    with (
        _disk_full_is_an_error(store),
        locked(store.lock_path(component.name), what=f"fetching {component.name}") as lock,
    ):
        clear_workshop(store, component)
        shop = open_workshop(store, component, lock)
        component.fetch(shop, versions)
        members = read_members(shop.members)
        packed = pack_component(component, shop)
        version = component.version(versions)
        suffix = ".tar.gz" if component.single_file else ".tar"
        title = component.name.replace("_", "-")
        artifact = Artifact(
            name=component.name,
            version=version,
            file=f"{title}-{version}-{digest_of_members(members)}{suffix}",
            sha256=sha256_of(packed),
            size_bytes=packed.stat().st_size,
            members=members,
        )
        store.publish(packed, artifact)
        clear_workshop(store, component)
        return artifact


def open_workshop(store: Store, component: Component, lock: int) -> Workshop:
    """The component's workshop, with whatever an earlier attempt left in it."""
    shop = Workshop(
        scratch=store.workshops / component.name / "scratch",
        members=store.workshops / component.name / "members",
        repository=store.workshops / "maven",
        lock=lock,
    )
    shutil.rmtree(shop.scratch / "tmp", ignore_errors=True)
    shop.scratch.mkdir(parents=True, exist_ok=True)
    shop.members.mkdir(exist_ok=True)
    return shop


def clear_workshop(store: Store, component: Component) -> None:
    """Remove all that fetching the component left."""
    shutil.rmtree(store.workshops / component.name, ignore_errors=True)


def pack_component(component: Component, shop: Workshop) -> Path:
    """The one file that the component's members become, in its workshop."""
    names = sorted(read_names(shop.members))
    if component.single_file:
        if len(names) != 1:
            raise StreambedError(f"{component.name}: one file was expected, not {names}")
        return shop.members / names[0]
    packed = shop.scratch / "packed.tar"
    pack(shop.members, names, packed)
    return packed


def read_names(members: Path) -> set[str]:
    """Paths of all files below `members`, relative to it."""
    return {str(path.relative_to(members)) for path in members.rglob("*") if path.is_file()}


def read_members(members: Path) -> dict[str, str]:
    """SHA-256 of all files below `members`, by relative path."""
    return {name: sha256_of(members / name) for name in read_names(members)}


def discard_wrong_members(members: Path, expected: Mapping[str, str]) -> None:
    """Remove what an earlier attempt left that is not as pinned."""
    for name, found in read_members(members).items():
        if expected.get(name) != found:
            (members / name).unlink()


def compare(found: Mapping[str, str], expected: Mapping[str, str]) -> list[str]:
    """One sentence for each file that is missing, too many, or wrong."""
    sentences = []
    for name in sorted(found.keys() | expected.keys()):
        if name not in found:
            sentences.append(f"{name}: missing, expected SHA-256 {expected[name]}")
        elif name not in expected:
            sentences.append(f"{name}: not in the lock, found SHA-256 {found[name]}")
        elif found[name] != expected[name]:
            sentences.append(f"{name}: expected SHA-256 {expected[name]}, found {found[name]}")
    return sentences


def _wrong_checksum(name: str, wrong: list[str]) -> StreambedError:
    listing = "\n".join(f"    {sentence}" for sentence in wrong)
    return StreambedError(
        f"{name}: what was fetched is not what ansible/artifacts.lock.yml pins:\n{listing}",
        hint="the registry serves something else, or a proxy alters it; if a pin was changed on "
        "purpose: ./streambed lock",
    )


@contextmanager
def _disk_full_is_an_error(store: Store) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise StreambedError(
            f"the disk that holds {store.directory} is full",
            hint="make room, or name another directory: STREAMBED_CACHE=DIR",
        ) from error
