"""What is known of a bed between two commands: one small file, replaced whole."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from streambed.beds.files import write_atomically

Stage = Literal["created", "provisioned", "verified"]

_FILE = "state.json"


def record(directory: Path, stage: Stage, **facts: object) -> None:
    """Note how far the bed is; earlier facts stay unless given anew."""
    content = {
        **read(directory),
        **facts,
        "stage": stage,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    write_atomically(directory / _FILE, json.dumps(content, indent=2) + "\n")


def read(directory: Path) -> dict[str, Any]:
    """What was noted last; empty when nothing was (or somebody edited it into nonsense)."""
    try:
        content = json.loads((directory / _FILE).read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def forget(directory: Path) -> None:
    """The bed is gone."""
    (directory / _FILE).unlink(missing_ok=True)
