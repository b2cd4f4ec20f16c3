"""The one JSON line a node program is given, parsed once into a frozen dataclass."""

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from streambed.pipelines.errors import SpecError

T = TypeVar("T")


def parse_line(line: str) -> dict[str, Any]:
    """The JSON object in `line`; raises SpecError when it is anything else."""
    try:
        raw = json.loads(line)
    except ValueError as error:
        raise SpecError(f"the first line on stdin is not JSON: {error}") from None
    if not isinstance(raw, dict):
        raise SpecError(f"the spec must be a JSON object, not {type(raw).__name__}")
    return raw


def parse(cls: type[T], raw: Mapping[str, Any], where: str = "spec") -> T:
    """`raw` as dataclass `cls`; unknown, missing and ill-typed keys are SpecErrors.

    Nested dataclasses, lists of them, `X | None`, and int given for float are understood. A
    ValueError of `__post_init__` becomes a SpecError too.
    """
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(raw) - set(fields))
    if unknown:
        raise SpecError(f"{where}: unknown key {unknown[0]!r}; allowed: {', '.join(fields)}")
    values: dict[str, Any] = {}
    for name, field in fields.items():
        if name in raw:
            values[name] = _convert(hints[name], raw[name], f"{where}.{name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise SpecError(f"{where}: key {name!r} is missing")
    try:
        return cls(**values)
    except ValueError as error:
        raise SpecError(f"{where}: {error}") from None


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in typing.get_args(hint):
            return None
        (inner,) = [a for a in typing.get_args(hint) if a is not type(None)]
        return _convert(inner, value, where)
    if origin in (list, tuple):
        if not isinstance(value, list):
            raise SpecError(f"{where}: must be a list, not {value!r}")
        inner = typing.get_args(hint)[0]
        items = [_convert(inner, item, f"{where}[{i}]") for i, item in enumerate(value)]
        return items if origin is list else tuple(items)
    if origin is dict:
        if not isinstance(value, dict):
            raise SpecError(f"{where}: must be an object, not {value!r}")
        return value
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, dict):
            raise SpecError(f"{where}: must be an object, not {value!r}")
        return parse(typing.cast("type[Any]", hint), value, where)
    if hint is Any:
        return value
    number = not isinstance(value, bool) and isinstance(value, (int, float))
    if hint is float and number:
        return float(value)
    if isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    raise SpecError(f"{where}: must be {hint.__name__}, not {value!r}")
