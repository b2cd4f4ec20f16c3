"""One thing that was looked for on this machine, and what came of it."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """What a finding means for the user."""

    OK = "ok"
    MISSING = "missing"
    """Nothing runs before this is mended."""
    NOTE = "note"
    """Worth knowing: a larger bed does not fit, or a needed thing is there in an odd form."""
    UNKNOWN = "unknown"
    """Could not be checked, mostly for want of root's rights."""


@dataclass(frozen=True)
class Finding:
    """A line of the doctor's table."""

    name: str
    need: str
    found: str
    state: State
    mend: str = ""
    """The command, or the deed, that mends it."""
