"""Quantities with units, parsed once at the edge (pint does the arithmetic)."""

import functools
import math
import re
from typing import TYPE_CHECKING

from streambed.errors import StreambedError

if TYPE_CHECKING:
    from pint import UnitRegistry

_NUMBER_AND_UNIT = re.compile(
    r"\s*([+-]?[0-9][0-9_.eE+-]*|[+-]?\.[0-9]+)\s*([A-Za-zµ][A-Za-zµ/]*)\s*"
)

# The spellings a user may write, and what pint calls them.
_RATES = {
    "bit/s": "bit/second",
    "kbit/s": "kilobit/second",
    "Mbit/s": "megabit/second",
    "Gbit/s": "gigabit/second",
}
_DURATIONS = {"ms": "millisecond", "s": "second", "min": "minute", "h": "hour"}
_SIZES = {
    "B": "byte",
    "kB": "kilobyte",
    "MB": "megabyte",
    "GB": "gigabyte",
    "KiB": "kibibyte",
    "MiB": "mebibyte",
    "GiB": "gibibyte",
}


@functools.cache
def _registry() -> "UnitRegistry[float]":
    import pint  # 0.3 s: only when a quantity is really parsed

    return pint.UnitRegistry()


def _parse(
    text: object,
    kind: str,
    units: dict[str, str],
    target: str,
    example: str,
    *,
    zero_ok: bool,
) -> float:
    number = "0 or a positive number" if zero_ok else "a positive number"
    allowed = f"a {kind} is {number} and one of {', '.join(units)}, as in {example!r}"
    match = _NUMBER_AND_UNIT.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise StreambedError(f"{text!r} is not a {kind}: {allowed}")
    figure, unit = match.groups()
    if unit not in units:
        raise StreambedError(f"{text!r} has an unknown unit {unit!r}: {allowed}")
    try:
        value = float(figure)
    except ValueError:
        raise StreambedError(f"{text!r} is not a {kind}: {allowed}") from None
    if not math.isfinite(value) or value < 0 or (value == 0 and not zero_ok):
        raise StreambedError(f"{text!r} is out of range: {allowed}")
    return float(_registry().Quantity(value, units[unit]).to(target).magnitude)


def parse_rate(text: object) -> float:
    """`"10 Mbit/s"` → 1e7 bit/s.

    Raises:
        StreambedError: not a positive number with a unit of data rate.
    """
    return _parse(text, "data rate", _RATES, "bit/second", "10 Mbit/s", zero_ok=False)


def parse_duration(text: object, *, zero_ok: bool = False) -> float:
    """`"500 ms"` → 0.5 s; zero only where it means something (`locality_wait`)."""
    return _parse(text, "duration", _DURATIONS, "second", "2 s", zero_ok=zero_ok)


def parse_size(text: object) -> int:
    """`"2 GiB"` → 2147483648 bytes."""
    return round(_parse(text, "size", _SIZES, "byte", "2 GiB", zero_ok=False))


def format_rate(bit_per_s: float) -> str:
    """1e7 → `"10 Mbit/s"`."""
    for factor, unit in ((1e9, "Gbit/s"), (1e6, "Mbit/s"), (1e3, "kbit/s")):
        if bit_per_s >= factor:
            return f"{bit_per_s / factor:g} {unit}"
    return f"{bit_per_s:g} bit/s"


def format_duration(seconds: float) -> str:
    """75.0 → `"1 min 15 s"`; below a minute with the digits that matter."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"


def format_size(size_bytes: float) -> str:
    """2147483648 → `"2 GiB"`."""
    for factor, unit in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if size_bytes >= factor:
            return f"{size_bytes / factor:.3g} {unit}"
    return f"{size_bytes:g} B"
