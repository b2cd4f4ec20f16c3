"""Python packages for the nodes, through pip and the user's own configuration of it."""

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from streambed.artifacts.command import run_client
from streambed.errors import StreambedError

# Debian 12 has glibc 2.36; pip does not infer the older tags that run there too.
_NODE_GLIBC_MINOR = 36
_OLDEST_GLIBC_MINOR = 5
_LEGACY_TAGS = ("manylinux2014", "manylinux2010", "manylinux1", "linux")
_RELEASE = re.compile(r"^(?P<name>[a-zA-Z0-9._-]+)==(?P<version>[^\s;\\]+)")


def node_platforms() -> list[str]:
    """The platform tags whose wheels run on a node, best first."""
    minors = range(_NODE_GLIBC_MINOR, _OLDEST_GLIBC_MINOR - 1, -1)
    return [f"manylinux_2_{minor}_x86_64" for minor in minors] + [
        f"{tag}_x86_64" for tag in _LEGACY_TAGS
    ]


def split_lock(text: str) -> dict[str, str]:
    """A requirements lock as one block of text (release and hashes) per package name."""
    blocks: dict[str, str] = {}
    for block in re.split(r"\n(?=[a-zA-Z0-9])", text):
        if match := _RELEASE.match(block):
            blocks[match["name"]] = block.rstrip("\n") + "\n"
    return blocks


def fetch_wheels(
    blocks: Mapping[str, str],
    *,
    python: str,
    scratch: Path,
    target: Path,
    lock: int,
) -> None:
    """Download the wheels of the locked releases `blocks` for the nodes' Python, e.g. "3.11"."""
    tag = "cp" + python.replace(".", "")
    options = ["--only-binary=:all:", f"--python-version={python}", "--implementation=cp"]
    options += [f"--abi={abi}" for abi in (tag, "abi3", "none")]
    options += [f"--platform={platform}" for platform in node_platforms()]
    _download("".join(blocks.values()), options, scratch=scratch, target=target, lock=lock)


def fetch_sdist(block: str, *, scratch: Path, target: Path, lock: int) -> None:
    """Download one release, given with its hash, as source.

    pip reads a source package's metadata by running its build: without isolation, so that the
    build tools are the pinned ones of the controller's environment.
    """
    options = ["--no-binary=:all:", "--no-build-isolation"]
    _download(block, options, scratch=scratch, target=target, lock=lock)


def _download(
    requirements: str, options: Sequence[str], *, scratch: Path, target: Path, lock: int
) -> None:
    if not requirements:
        raise StreambedError("there is no locked release to fetch")
    listing = scratch / "requirements.txt"
    listing.write_text(requirements, encoding="utf-8")
    temporary = scratch / "tmp"
    temporary.mkdir(exist_ok=True)
    run_client(
        [
            *(sys.executable, "-P", "-m", "pip", "--disable-pip-version-check", "download"),
            *("--no-deps", "--require-hashes", "--progress-bar=off"),
            *options,
            f"--dest={target}",
            f"--requirement={listing}",
        ],
        log=scratch / "pip.log",
        # pip unpacks here; /tmp may be small, and what a killed pip leaves goes with the scratch.
        environment={"TMPDIR": str(temporary)},
        keep_open=(lock,),
        what="fetching Python packages with pip",
    )
