"""Fetch the artifacts and list them."""

import json
from collections.abc import Sequence

from rich.table import Table

from streambed import console
from streambed.artifacts import engines
from streambed.artifacts.ensuring import ensure, select


def show(*, extras: Sequence[str] = (), as_json: bool = False) -> None:
    """Make sure that the cache holds every artifact, then print one line for each.

    Args:
        extras: training engines to fetch, too.
        as_json: print {name: {path, sha256, version, size_bytes}} instead of a table.

    Raises:
        StreambedError: one of them could not be fetched or is not as pinned.
    """
    paths = ensure() | {f"engine_{name}": p for name, p in engines.ensure(extras).items()}
    artifacts = [*select(), *(engines.locked(name) for name in extras)]
    if as_json:
        rows = {
            one.name: {
                "path": str(paths[one.name]),
                "sha256": one.sha256,
                "version": one.version,
                "size_bytes": one.size_bytes,
            }
            for one in artifacts
        }
        console.out.print_json(json.dumps(rows))
        return
    table = Table("artifact", "version", "size", "SHA-256", "file", box=None, pad_edge=False)
    for one in artifacts:
        size = f"{one.size_bytes / 1e6:.0f} MB"
        table.add_row(one.name, one.version, size, f"{one.sha256[:12]}…", one.file)
    console.out.print(table)
    console.out.print(f"verified, in {paths[artifacts[0].name].parent}")
