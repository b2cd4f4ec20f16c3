"""For maintainers: make the locks anew after a change of what they pin."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from streambed import console, paths
from streambed.artifacts import debs, engines
from streambed.artifacts.ensuring import lock
from streambed.artifacts.pins import current_pins, load_lock
from streambed.errors import StreambedError

_OLDEST_PYTHON = "3.11"
_CONTROLLER = ("--universal",)
_NODE = ("--python-platform=x86_64-manylinux_2_28",)


def relock(*, upgrade: bool = False) -> None:
    """Write requirements.lock, requirements-node.lock and, when pins changed, the artifacts' lock.

    Args:
        upgrade: take newer releases than the locked ones where the `.in` files allow it.

    Raises:
        StreambedError: the releases asked for do not go together, or a fetch fails.
    """
    _compile("requirements", _CONTROLLER, upgrade=upgrade)
    _compile("requirements-node", _NODE, upgrade=upgrade)
    try:
        load_lock()
    except StreambedError:
        console.step(f"pins changed (now {current_pins()}): fetching what they stand for")
        lock()
    else:
        console.say("ansible/artifacts.lock.yml belongs to the pins as they are")


def relock_engine(name: str, *, upgrade: bool = False) -> None:
    """Write the two locks of a training engine; what it is made of is fetched.

    Raises:
        StreambedError: the releases asked for do not go together, or a fetch fails.
    """
    if name in engines.OF_DEBIAN:
        _take_offered(name)
    else:
        options = (*_NODE, "--constraint=requirements-node.lock")
        _compile(engines.stem(name), options, upgrade=upgrade)
    engines.lock(name)


def _take_offered(name: str) -> None:
    """A release of Debian has one of each package."""
    stem = engines.stem(name)
    console.step(f"locking {stem}.in")
    with tempfile.TemporaryDirectory() as scratch:
        found = debs.offered(engines.listed(name), engines.sources(), scratch=Path(scratch))
    head = f"# Written by `./streambed lock --engine {name}`, from {stem}.in.\n"
    lines = "".join(f"{package}={version}\n" for package, version in found.items())
    (paths.ROOT / f"{stem}.lock").write_text(head + lines, encoding="utf-8")


def _compile(stem: str, options: tuple[str, ...], *, upgrade: bool) -> None:
    console.step(f"locking {stem}.in")
    with tempfile.TemporaryDirectory() as scratch:
        # Chainer's metadata comes from a build that wants pkg_resources.
        constraint = Path(scratch) / "build.txt"
        constraint.write_text("setuptools<70\n", encoding="utf-8")
        done = subprocess.run(
            [
                *(str(Path(sys.executable).with_name("uv")), "pip", "compile", "--quiet"),
                *("--generate-hashes", "--no-header", "--no-annotate", *options),
                *(["--upgrade"] if upgrade else []),
                f"--python-version={_OLDEST_PYTHON}",
                f"--build-constraints={constraint}",
                f"--output-file={stem}.lock",
                f"{stem}.in",
            ],
            cwd=paths.ROOT,
            env={**os.environ, **_index_of_pip()},
            check=False,
        )
    if done.returncode != 0:
        raise StreambedError(f"{stem}.in could not be locked; uv's reason stands above")


def _index_of_pip() -> dict[str, str]:
    # uv does not read pip's configuration; the user's index is set there and nowhere else.
    done = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", "global.index-url"],
        capture_output=True,
        text=True,
        check=False,
    )
    index = os.environ.get("PIP_INDEX_URL") or done.stdout.strip()
    return {"UV_DEFAULT_INDEX": index} if index else {}
