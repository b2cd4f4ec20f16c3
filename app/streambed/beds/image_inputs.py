"""What goes into the baked image: hashed into its name, so that a name means one content."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

# Within a role, what its install part can read; the rest configures a running node.
_ROLE_PARTS = (
    "defaults/**/*",
    "vars/**/*",
    "files/**/*",
    "templates/**/*",
    "library/**/*",
    "filter_plugins/**/*",
    "tasks/install.yml",
)

# Roles that the bake and the install parts of others include, whole.
_HELPER_ROLES = ("artifacts", "debian_packages", "preflight")

_FILES = (
    "ansible/bake.yml",
    "ansible/versions.yml",
    "ansible/artifacts.lock.yml",
    "ansible/action_plugins/streambed_place.py",
    "ansible/library/streambed_place.py",
    "app/streambed/link.py",
)


def files(root: Path) -> list[Path]:
    """Every file whose content the image depends on, sorted."""
    return sorted({path for path in _candidates(root) if _counts(path)})


def _candidates(root: Path) -> Iterator[Path]:
    for name in _FILES:
        yield root / name
    for role in root.glob("roles/*"):
        patterns: Iterable[str] = ("**/*",) if role.name in _HELPER_ROLES else _ROLE_PARTS
        # A role without an install part brings nothing into the image.
        if role.name in _HELPER_ROLES or (role / "tasks/install.yml").is_file():
            for pattern in patterns:
                yield from role.glob(pattern)


def _counts(path: Path) -> bool:
    return path.is_file() and "__pycache__" not in path.parts


def digest(root: Path, base: str) -> str:
    """Twelve hex digits of the base image's name and of every input's path and content."""
    total = hashlib.sha256(base.encode())
    for path in files(root):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"\0{path.relative_to(root)}\0{content}".encode())
    return total.hexdigest()[:12]
