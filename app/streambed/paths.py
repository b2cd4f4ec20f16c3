"""Where things live: the clone, the cache shared by all clones, the state of a bed."""

import hashlib
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The clone this code runs from."""


def cache_dir() -> Path:
    """Downloads and built environments, shared by all clones (created on demand)."""
    explicit = os.environ.get("STREAMBED_CACHE")
    if explicit:
        path = Path(explicit).expanduser()
    else:
        xdg = os.environ.get("XDG_CACHE_HOME")
        path = (Path(xdg).expanduser() if xdg else Path.home() / ".cache") / "streambed"
    path = path.absolute()
    path.mkdir(parents=True, exist_ok=True)
    return path


def state_dir(bed_name: str) -> Path:
    """A bed's state, keys and logs: mode 0700, inside the clone, ignored by git."""
    path = ROOT / ".streambed" / bed_name
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.chmod(0o700)
    return path


def results_dir() -> Path:
    """Where runs are kept unless `--results` says otherwise."""
    return ROOT / "results"


def clone_hash(inventory_name: str) -> str:
    """Eight hex digits that tell this clone's bed from every other one on the host."""
    return hashlib.sha256(f"{ROOT}\0{inventory_name}".encode()).hexdigest()[:8]
