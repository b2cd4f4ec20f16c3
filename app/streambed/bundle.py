"""All that a lab without internet needs, in one file: clone, artifacts, wheels, Debian packages.

What is unpacked is a clone and a cache for it: with STREAMBED_CACHE set to that cache, launcher and
playbooks find there what they would fetch. Artifacts and wheels are checked by the clone's own
locks, packages by the index beside them.
"""

import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from streambed import __version__, artifacts, console, paths
from streambed.artifacts import debs
from streambed.artifacts import engines as engine_artifacts
from streambed.artifacts.command import run_client
from streambed.beds import apt_sources, base_image
from streambed.errors import StreambedError
from streambed.host import packages
from streambed.quantities import format_size

_TOP = "streambed-bundle"

_README = """\
A clone of Streambed and a cache with everything that it would fetch, for a controller with
Debian 12 and machines with Debian 12. On the controller, here:

    export STREAMBED_CACHE=$PWD/cache
    cd streambed
    ./streambed up -i inventory/lab        # docs/lab.md says what goes into the inventory

"""


def build(output: Path | None, engines: Sequence[str] = ()) -> None:
    """Write the bundle, with these training engines.

    Raises:
        StreambedError: a registry cannot be reached, the disk is full, this is no git clone.
    """
    commit = _git("rev-parse", "--short=10", "HEAD").strip()
    if _git("status", "--porcelain", "--untracked-files=no"):
        console.warn(f"the bundle has commit {commit}, without the changes made since")
    target = (output or Path(f"streambed-{__version__}-{commit}.tar")).absolute()
    workshop = paths.cache_dir() / "work"
    workshop.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bundle-", dir=workshop) as directory:
        members = _gather(Path(directory), engines)
        size = sum(path.stat().st_size for path in members.values())
        free = shutil.disk_usage(target.parent).free
        if free < size:
            raise StreambedError(
                f"{target.parent} has {format_size(free)} free, the bundle needs "
                f"{format_size(size)}",
                hint="name another place: --output FILE",
            )
        console.step(f"writing {target} ({format_size(size)})")
        _write(target, members)
    console.out.print(str(target), soft_wrap=True)


def _gather(scratch: Path, engines: Sequence[str]) -> dict[str, Path]:
    """Name in the bundle → file."""
    console.step("artifacts")
    fetched = [*artifacts.ensure().values(), *engine_artifacts.ensure(engines).values()]
    members = {f"cache/artifacts/{path.name}": path for path in fetched}
    console.step("wheels of the controller")
    wheels = scratch / "wheels"
    run_client(
        [
            *(sys.executable, "-P", "-m", "pip", "--disable-pip-version-check", "download"),
            *("--no-deps", "--require-hashes", "--only-binary=:all:", "--progress-bar=off"),
            f"--dest={wheels}",
            f"--requirement={paths.ROOT / 'requirements.lock'}",
        ],
        log=scratch / "pip.log",
        what="fetching the controller's wheels",
    )
    members |= {f"cache/wheels/{path.name}": path for path in wheels.iterdir()}
    console.step("Debian packages of controller and nodes")
    listed = packages.parse(packages.LIST.read_text(encoding="utf-8"))
    names = {one.name for one in listed} | set(base_image.packages(paths.ROOT / "roles"))
    members["cache/debs.tar"] = pack_debs(sorted(names), scratch)
    clone = scratch / "clone.tar"
    _git("archive", f"--prefix={_TOP}/streambed/", f"--output={clone}", "HEAD")
    members["clone.tar"] = clone
    return members


def pack_debs(names: Sequence[str], scratch: Path) -> Path:
    """The archive of these packages, with all that they need, as launcher and roles install it."""
    sources = "".join(f"{source.render()}\n" for source in apt_sources.of_this_host())
    apt, found = scratch / "apt", scratch / "debs"
    apt.mkdir()
    found.mkdir()
    debs.fetch(names, sources, scratch=apt, target=found)
    archive = scratch / "debs.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(found, "debs")
    shutil.rmtree(found)
    shutil.rmtree(apt)
    return archive


def _write(target: Path, members: dict[str, Path]) -> None:
    part = target.with_name(f"{target.name}.part")
    try:
        with tarfile.open(part, "w") as tar:
            text = _README.encode()
            entry = tarfile.TarInfo(f"{_TOP}/README")
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text))
            with tarfile.open(members.pop("clone.tar")) as clone:
                for member in clone:
                    tar.addfile(member, clone.extractfile(member) if member.isreg() else None)
            for name, path in sorted(members.items()):
                tar.add(path, f"{_TOP}/{name}")
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(paths.ROOT), *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise StreambedError(f"git {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout
