"""The controller's Debian packages, by the list that the launcher installs from."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from streambed.host.finding import Finding, State

LIST = Path(__file__).with_name("packages.txt")


@dataclass(frozen=True)
class Package:
    """A Debian package, and a command or a file (absolute, a glob) that proves it is there."""

    name: str
    proof: str


def parse(text: str) -> list[Package]:
    """The list: a name and a proof per line, `#` before comments."""
    lines = (line.split() for line in text.splitlines() if line.strip() and line[0] != "#")
    return [Package(name, proof) for name, proof in lines]


def is_there(proof: str) -> bool:
    """Whether the proof is on this machine."""
    if proof.startswith("/"):
        return any(Path("/").glob(proof.removeprefix("/")))
    return shutil.which(proof) is not None


def judge(packages: list[Package], there: Callable[[str], bool]) -> Finding:
    """One finding for all of them: what is missing, by name."""
    missing = [package.name for package in packages if not there(package.proof)]
    need = f"{len(packages)} Debian packages"
    if not missing:
        return Finding("packages", need, "all there", State.OK)
    return Finding(
        "packages",
        need,
        f"missing: {', '.join(missing)}",
        State.MISSING,
        f"apt-get install --no-install-recommends {' '.join(missing)}",
    )
