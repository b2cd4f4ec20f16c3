"""The keys of an experiment file and their types; pydantic checks, the words are ours."""

from typing import Any

from pydantic import BaseModel, ValidationError

from streambed.experiment.factors import PIPELINES
from streambed.experiment.mistakes import Mistakes, unknown
from streambed.experiment.schema import (
    BedByFactor,
    ExperimentFile,
    Gates,
    Part,
    Reference,
    Subset,
    WarmUp,
    keys_of,
)
from streambed.experiment.source import Source, Where

_SECTIONS: dict[str, type[BaseModel]] = {
    "warm_up": WarmUp,
    "gates": Gates,
    "subsets": Subset,
    "reference": Reference,
    "bed": BedByFactor,
}

_WORDS = {
    "string_type": "a word or text",
    "dict_type": "a mapping of keys and values",
    "list_type": "a list, as in [10 Mbit/s, 100 Mbit/s]",
    "model_type": "a mapping of keys and values",
    "float_type": "a finite number",
    "finite_number": "a finite number",
    "string_too_short": "a text that is not empty",
    "string_pattern_mismatch": "lower-case letters, digits, - and _, at most 40, as in 'small'",
}


def validate(source: Source, mistakes: Mistakes) -> ExperimentFile | None:
    """The file as a typed structure, or None with the reasons in `mistakes`."""
    if not isinstance(source.data, dict):
        allowed = f"a mapping with the keys {', '.join(keys_of(ExperimentFile))}"
        mistakes.add(source.place(()), f"not an experiment; allowed is {allowed}")
        return None
    pipeline = source.data.get("pipeline")
    if isinstance(pipeline, str) and pipeline not in PIPELINES:
        mistakes.add(source.place(("pipeline",)), unknown("pipeline", pipeline, PIPELINES))
    try:
        return ExperimentFile.model_validate(source.data)
    except ValidationError as errors:
        for error in errors.errors():
            where = _where(source, error["loc"])
            mistakes.add(source.place(where), _text(where, dict(error)))
        return None


def _where(source: Source, loc: tuple[str | int, ...]) -> Where:
    """Pydantic's location without the names of union branches, which no user wrote."""
    branches = {"BedByFactor", "constrained-str", "str", "int", "[key]"}
    return tuple(
        part
        for index, part in enumerate(loc)
        if part not in branches or loc[: index + 1] in source.lines
    )


def _text(where: Where, error: dict[str, Any]) -> str:
    name = ".".join(str(part) for part in where)
    kind = error["type"]
    if kind == "extra_forbidden":
        return unknown("key", name, _allowed_keys(where))
    if kind == "missing":
        return f"key {name!r} is missing"
    if kind == "value_error":
        return f"{name}: {error['ctx']['error']}"
    allowed = _WORDS.get(kind, error["msg"])
    return f"{name}: {error['input']!r} is not allowed here; allowed is {allowed}"


def _allowed_keys(where: Where) -> list[str]:
    if len(where) == 1:
        return keys_of(ExperimentFile)
    if "parts" in where:
        return keys_of(Part)
    return keys_of(_SECTIONS[str(where[0])])
