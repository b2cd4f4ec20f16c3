"""What a level of a factor may be: parses what a user wrote into one typed value.

A value is kept in the unit of its row field (`bandwidth_mbit_per_s` in Mbit/s), so that the
configuration, the row and the figure show one number. `parse` raises Rejected with the value
and what is allowed; `show` writes the value back as a user would.
"""

import functools
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from streambed import quantities
from streambed.errors import StreambedError
from streambed.experiment.mistakes import Rejected, unknown
from streambed.link import LinkError, check_rate

Value = str | int | float | bool | None
"""A parsed level."""


class Kind(Protocol):
    """One kind of level."""

    @property
    def unit(self) -> str:
        """Unit of the parsed value, empty when it has none."""

    @property
    def allowed(self) -> str:
        """What may be written, in words."""

    def parse(self, raw: object, folder: Path, /) -> Value:
        """The typed value; `folder` is what a relative path starts from."""

    def show(self, value: Value) -> str:
        """The value as a user would write it."""


def _number(value: Value) -> float:
    assert isinstance(value, int | float)
    return value


def _quantity(raw: object, parser: object) -> float:
    assert callable(parser)
    if isinstance(raw, int | float) and not isinstance(raw, bool):
        raw = f"{raw}"  # so that the message says that the unit is missing
    try:
        return float(parser(raw))
    except StreambedError as error:
        raise Rejected(error.message) from error


@dataclass(frozen=True)
class Rate:
    """A data rate of the link, in Mbit/s."""

    unit: str = "Mbit/s"
    allowed: str = "a data rate with its unit, as in '10 Mbit/s'"

    def parse(self, raw: object, _folder: Path) -> float:
        bit_per_s = _quantity(raw, quantities.parse_rate)
        try:
            check_rate(bit_per_s)
        except LinkError as error:
            raise Rejected(f"{raw!r}: {error}") from error
        return bit_per_s / 1e6

    def show(self, value: Value) -> str:
        return quantities.format_rate(_number(value) * 1e6)


@dataclass(frozen=True)
class Duration:
    """A time, in seconds."""

    zero: bool = False
    """Whether none at all means something."""
    most_s: float | None = None
    unit: str = "s"

    @property
    def allowed(self) -> str:
        """What may be written, in words."""
        most = "" if self.most_s is None else f", up to {self.show(self.most_s)}"
        return f"a duration with its unit, as in '{0 if self.zero else 2} s'{most}"

    def parse(self, raw: object, _folder: Path) -> float:
        value = _quantity(raw, functools.partial(quantities.parse_duration, zero_ok=self.zero))
        if self.most_s is not None and value > self.most_s:
            raise Rejected(f"{raw!r} is too long: allowed is {self.allowed}")
        return value

    def show(self, value: Value) -> str:
        return f"{_number(value):g} s"


@dataclass(frozen=True)
class ImageRate:
    """Images per second."""

    unit: str = "images/s"
    allowed: str = "a positive number of images per second, as in '1500 images/s'"

    def parse(self, raw: object, _folder: Path) -> float:
        match = re.fullmatch(r"\s*([0-9][0-9.eE+]*)\s*images?/s\s*", str(raw))
        try:
            value = float(match[1]) if match else math.nan
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or value <= 0:
            raise Rejected(f"{raw!r} is not an image rate: allowed is {self.allowed}")
        return value

    def show(self, value: Value) -> str:
        return f"{_number(value):g} images/s"


@dataclass(frozen=True)
class Size:
    """A number of bytes."""

    most: int | None = None
    unit: str = "bytes"

    @property
    def allowed(self) -> str:
        """What may be written, in words."""
        most = "" if self.most is None else f", up to {self.show(self.most)}"
        return f"a size with its unit, as in '64 KiB'{most}"

    def parse(self, raw: object, _folder: Path) -> int:
        value = int(_quantity(raw, quantities.parse_size))
        if self.most is not None and value > self.most:
            raise Rejected(f"{raw!r} is too large: allowed is {self.allowed}")
        return value

    def show(self, value: Value) -> str:
        return quantities.format_size(_number(value))


@dataclass(frozen=True)
class Fraction:
    """A part of one, written as a percentage or as a number between 0 and 1."""

    whole: bool = False
    """Whether all of it, 100 %, is a part too."""
    unit: str = ""

    @property
    def allowed(self) -> str:
        """The range, in words."""
        most = "up to 1" if self.whole else "between 0 and 1"
        return f"a percentage as in '2 %', or a number {most}"

    def parse(self, raw: object, _folder: Path) -> float:
        match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*(%?)\s*", str(raw))
        value = float(match[1]) / (100 if match[2] else 1) if match else math.nan
        fits = 0 < value < 1 or (self.whole and value == 1)
        if isinstance(raw, bool) or not fits:
            raise Rejected(f"{raw!r} is not a fraction: allowed is {self.allowed}")
        return value

    def show(self, value: Value) -> str:
        return f"{_number(value) * 100:g} %"


@dataclass(frozen=True)
class Count:
    """A whole number."""

    least: int = 1
    most: int | None = None
    unit: str = ""

    @property
    def allowed(self) -> str:
        """The range, in words."""
        if self.most is None:
            return f"a whole number of at least {self.least}"
        return f"a whole number from {self.least} to {self.most}"

    def parse(self, raw: object, _folder: Path) -> int:
        fits = isinstance(raw, int) and not isinstance(raw, bool) and raw >= self.least
        if not fits or (self.most is not None and int(str(raw)) > self.most):
            raise Rejected(f"{raw!r} is not allowed here: allowed is {self.allowed}")
        return int(str(raw))

    def show(self, value: Value) -> str:
        return str(value)


@dataclass(frozen=True)
class Positive:
    """A positive number without a unit."""

    unit: str = ""
    allowed: str = "a positive number"

    def parse(self, raw: object, _folder: Path) -> float:
        fits = isinstance(raw, int | float) and not isinstance(raw, bool)
        if not fits or not 0 < float(str(raw)) < math.inf:
            raise Rejected(f"{raw!r} is not allowed here: allowed is {self.allowed}")
        return float(str(raw))

    def show(self, value: Value) -> str:
        return f"{_number(value):g}"


@dataclass(frozen=True)
class Choice:
    """One of a few words."""

    words: tuple[str, ...]
    unit: str = ""

    @property
    def allowed(self) -> str:
        """The words."""
        return ", ".join(self.words)

    def parse(self, raw: object, _folder: Path) -> str:
        if not isinstance(raw, str) or raw not in self.words:
            raise Rejected(unknown("level", raw, self.words))
        return raw

    def show(self, value: Value) -> str:
        return str(value)


@dataclass(frozen=True)
class OrWord:
    """Another kind, or one word that stands for "none of it" (None when parsed)."""

    word: str
    kind: Kind

    @property
    def unit(self) -> str:
        """The unit of the other kind."""
        return self.kind.unit

    @property
    def allowed(self) -> str:
        """Both."""
        return f"{self.kind.allowed}, or {self.word!r}"

    def parse(self, raw: object, folder: Path) -> Value:
        if raw == self.word:
            return None
        try:
            return self.kind.parse(raw, folder)
        except Rejected as error:
            raise Rejected(f"{error}, or {self.word!r}") from error

    def show(self, value: Value) -> str:
        return self.word if value is None else self.kind.show(value)


def _existing(raw: str, text: str, folder: Path, what: str, allowed: str) -> Path:
    path = Path(text).expanduser()
    path = path if path.is_absolute() else folder / path
    if not path.exists():
        raise Rejected(f"{raw!r}: no {what} at {path}; allowed are {allowed}")
    return path.resolve()


@dataclass(frozen=True)
class Model:
    """A built-in network, or a class of the user's own as `FILE.py:Class`."""

    built_in: tuple[str, ...]
    unit: str = ""

    @property
    def allowed(self) -> str:
        """The built-in ones and the pattern for others."""
        return f"{', '.join(self.built_in)}, or FILE.py:Class"

    def parse(self, raw: object, folder: Path) -> str:
        if isinstance(raw, str) and raw in self.built_in:
            return raw
        if not isinstance(raw, str) or not re.fullmatch(r".+\.py:[A-Za-z_][A-Za-z0-9_]*", raw):
            raise Rejected(f"{unknown('model', raw, self.built_in)}, or FILE.py:Class")
        file, _, name = raw.rpartition(":")
        return f"{_existing(raw, file, folder, 'file', self.allowed)}:{name}"

    def show(self, value: Value) -> str:
        return str(value)


@dataclass(frozen=True)
class PathTo:
    """A path that exists, or one of a few built-in names."""

    what: str
    built_in: tuple[str, ...] = ()
    unit: str = ""

    @property
    def allowed(self) -> str:
        """The built-in names and the path."""
        return ", ".join((*self.built_in, f"a path to a {self.what}"))

    def parse(self, raw: object, folder: Path) -> str:
        if isinstance(raw, str) and raw in self.built_in:
            return raw
        if not isinstance(raw, str) or not raw.strip():
            raise Rejected(f"{raw!r} is not a path: allowed are {self.allowed}")
        return str(_existing(raw, raw, folder, self.what, self.allowed))

    def show(self, value: Value) -> str:
        return str(value)
