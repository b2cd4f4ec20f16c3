"""Make sure that artifacts are in the cache: check, and fetch in parallel what is not."""

from collections.abc import Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from streambed import console
from streambed.artifacts.command import end_clients
from streambed.artifacts.components import COMPONENTS, Component
from streambed.artifacts.fetching import fetch, fetch_unpinned
from streambed.artifacts.pins import (
    LOCK_FILE,
    Artifact,
    Lock,
    current_pins,
    load_lock,
    load_versions,
    render_lock,
)
from streambed.artifacts.progress import Reporter, bytes_below, reporting
from streambed.artifacts.store import Store
from streambed.errors import StreambedError

_POLL_S = 0.5


def ensure(names: Iterable[str] | None = None, *, thorough: bool = True) -> dict[str, Path]:
    """Return the path of each artifact, fetched and verified.

    With everything in the cache, nothing touches the network.

    Args:
        names: components; all of them by default.
        thorough: read every file in full. False is for callers that do not use the files and only
            want to know that they could: unchanged files are then taken as verified before.

    Raises:
        StreambedError: an unknown name, a failed fetch, a wrong checksum, a full disk.
    """
    artifacts = select(names)
    store = Store()
    lacking = [one for one in artifacts if not store.holds(one, thorough=thorough)]
    if lacking:
        fetch_all(store, lacking)
    return {one.name: store.path(one) for one in artifacts}


def select(names: Iterable[str] | None = None) -> list[Artifact]:
    """The locked artifacts of these names, all by default.

    Raises:
        StreambedError: an unknown name, or a component that the lock does not pin.
    """
    locked = load_lock().artifacts
    wanted = list(COMPONENTS) if names is None else list(dict.fromkeys(names))
    for name in wanted:
        if name not in COMPONENTS:
            raise StreambedError(
                f"there is no artifact {name!r}", hint=f"the artifacts are {', '.join(COMPONENTS)}"
            )
        if name not in locked:
            raise StreambedError(
                f"{LOCK_FILE} does not pin {name}", hint="lock anew: ./streambed lock"
            )
    return [locked[name] for name in wanted]


def missing() -> list[Artifact]:
    """The locked artifacts that the cache does not hold; reads no unchanged file again."""
    store = Store()
    return [one for one in select() if not store.holds(one, thorough=False)]


def lock() -> Lock:
    """Fetch every component anew, by version alone, and write the lock.

    For maintainers, after a change of a pin: what is fetched now is what everyone gets.
    """
    store, versions = Store(), load_versions()
    artifacts = {}
    for name, component in COMPONENTS.items():
        console.step(f"fetching {name} {component.version(versions)}")
        artifacts[name] = fetch_unpinned(store, component, versions)
    made = Lock(pins=current_pins(), artifacts=artifacts)
    LOCK_FILE.write_text(render_lock(made), encoding="utf-8")
    return made


def fetch_all(
    store: Store, artifacts: list[Artifact], components: Mapping[str, Component] = COMPONENTS
) -> None:
    """Fetch these in parallel, telling how far they are.

    Raises:
        StreambedError: some could not be fetched; the others are there.
    """
    versions = load_versions()
    for artifact in artifacts:
        if store.path(artifact).exists():
            console.warn(f"{store.path(artifact)} is damaged; fetching it again")
    console.step(f"fetching {', '.join(one.name for one in artifacts)} into {store.directory}")
    failures: list[StreambedError] = []
    with (
        reporting({one.name: one.size_bytes for one in artifacts}) as reporter,
        ThreadPoolExecutor(max_workers=len(artifacts)) as pool,
    ):
        running = {
            pool.submit(fetch, store, components[one.name], one, versions): one.name
            for one in artifacts
        }
        try:
            while running:
                done, _ = wait(running, timeout=_POLL_S, return_when=FIRST_COMPLETED)
                for future in done:
                    name = running.pop(future)
                    _account(future, name, reporter, failures)
                for name in running.values():
                    reporter.update(name, bytes_below(store.workshops / name))
        except BaseException:
            end_clients()
            raise
    if failures:
        raise StreambedError(
            "\n".join(failure.message for failure in failures),
            hint="; ".join(dict.fromkeys(failure.hint for failure in failures)),
        )


def _account(
    future: Future[None], name: str, reporter: Reporter, failures: list[StreambedError]
) -> None:
    try:
        future.result()
    except StreambedError as failure:
        failures.append(failure)
        console.warn(f"{name} could not be fetched; the others go on")
    else:
        reporter.finish(name)
