"""All mistakes of one experiment, told at once: file, line, value, what is allowed."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NoReturn

from streambed.errors import StreambedError


class Rejected(ValueError):
    """A value that is not allowed; the text names the value and what is allowed."""


@dataclass(frozen=True)
class Place:
    """Where a value was written: a line of the file, or an option of the command line."""

    source: str
    line: int | None = None

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source}:{self.line}"


@dataclass
class Mistakes:
    """Collects what is wrong, so that a user mends a file in one go."""

    found: list[tuple[Place, str]] = field(default_factory=list)

    def add(self, place: Place, text: str) -> None:
        """Note one mistake, once."""
        if (place, text) not in self.found:
            self.found.append((place, text))

    def raise_if_any(self) -> None:
        """Raise one StreambedError that lists every mistake in the order of the lines."""
        if self.found:
            self._raise()

    def _raise(self) -> NoReturn:
        self.found.sort(key=lambda entry: (entry[0].source, entry[0].line or 0))
        lines = [f"{place}: {text}" for place, text in self.found]
        if len(lines) == 1:
            raise StreambedError(lines[0])
        raise StreambedError("\n".join([f"{len(lines)} mistakes:", *lines]))


def unknown(what: str, name: object, allowed: Iterable[str]) -> str:
    """`unknown factor 'bandwith' (did you mean 'bandwidth'?); allowed are ...`."""
    names = list(allowed)
    near = difflib.get_close_matches(str(name), names, n=1)
    suggestion = f" (did you mean {near[0]!r}?)" if near else ""
    listed = ", ".join(names) if names else "none"
    return f"unknown {what} {str(name)!r}{suggestion}; allowed are {listed}"
