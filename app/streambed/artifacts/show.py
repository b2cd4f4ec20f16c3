"""List the artifacts and what the cache holds of them."""

import json

from rich.table import Table

from streambed import console
from streambed.artifacts.ensuring import select
from streambed.artifacts.store import Store


def show(*, as_json: bool = False, thorough: bool = True) -> bool:
    """Print one line per artifact; fetches nothing.

    Args:
        as_json: print {name: {path, sha256, version, size_bytes, cached}} instead of a table.
        thorough: read the files in full to tell whether they are right.

    Returns:
        Whether all of them are in the cache and right.
    """
    store = Store()
    artifacts = select()
    cached = {one.name: store.holds(one, thorough=thorough) for one in artifacts}
    if as_json:
        rows = {
            one.name: {
                "path": str(store.path(one)),
                "sha256": one.sha256,
                "version": one.version,
                "size_bytes": one.size_bytes,
                "cached": cached[one.name],
            }
            for one in artifacts
        }
        console.out.print_json(json.dumps(rows))
    else:
        table = Table("artifact", "version", "size", "in the cache", "file", box=None)
        for one in artifacts:
            size = f"{one.size_bytes / 1e6:.0f} MB"
            state = "[good]yes[/good]" if cached[one.name] else "[warn]no[/warn]"
            table.add_row(one.name, one.version, size, state, one.file)
        console.out.print(table)
        console.out.print(f"in {store.directory}")
    return all(cached.values())
