"""The cache: what is in it, and room for what is not."""

import shutil

from streambed import artifacts, paths
from streambed.host.finding import Finding, State
from streambed.quantities import format_size

# Clients' working files, the members, and the packed copy of them.
_ROOM_FACTOR = 3


def judge(missing: dict[str, int], free_bytes: int, where: str) -> Finding:
    """A finding from the sizes of the missing artifacts and the room there is."""
    if not missing:
        return Finding("artifacts", "fetched once", f"all in {where}", State.OK)
    needed = _ROOM_FACTOR * sum(missing.values())
    found = f"{', '.join(missing)} not fetched yet, {format_size(free_bytes)} free in {where}"
    need = f"{format_size(needed)} free to fetch them"
    if free_bytes < needed:
        mend = "make room, or name another directory: STREAMBED_CACHE=DIR"
        return Finding("artifacts", need, found, State.MISSING, mend)
    return Finding("artifacts", need, found, State.NOTE, "./streambed artifacts")


def check() -> Finding:
    """The finding for this machine; reads no file in full."""
    directory = paths.cache_dir()
    missing = {one.name: one.size_bytes for one in artifacts.missing()}
    return judge(missing, shutil.disk_usage(directory).free, str(directory))
