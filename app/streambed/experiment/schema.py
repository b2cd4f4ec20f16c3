"""The shape of an experiment file; what the factors' levels may be is in the registry."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic.fields import FieldInfo

from streambed.experiment.levels import Count, Duration, Fraction, Kind, OrWord, Positive

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$", strict=True)]
Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True, strict=True)]
PlainFloat = Annotated[float, Field(strict=True, allow_inf_nan=False)]


def _by(kind: Kind) -> Any:
    # Not used for paths: `folder` only matters to those.
    return BeforeValidator(lambda raw: kind.parse(raw, Path()))


def setting(kind: Kind, default: object, meaning: str) -> Any:
    """A key whose value one of the level kinds parses; its default is already typed."""
    return Field(default=default, description=meaning, json_schema_extra={"allowed": kind.allowed})


class Section(BaseModel):
    """A mapping of the file: no key but those declared."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class WarmUp(Section):
    """What is left out before measuring, and how much longer a cell gets for it."""

    triggers: Annotated[int, _by(Count())] = setting(Count(), 3, "whole triggers that never count")
    drain_s: Annotated[float, _by(Duration())] = Field(
        default=4.0,
        alias="drain",
        description="time a cell is lengthened by, in which the first backlog can drain",
        json_schema_extra={"allowed": Duration().allowed},
    )
    prime_images: Annotated[int, _by(Count(least=0))] = Field(
        default=2_000,
        alias="prime",
        description="images sent first of all, to load JVM, Python workers and model",
        json_schema_extra={"allowed": Count(least=0).allowed},
    )
    rehearse_s: Annotated[float, _by(Duration())] = Field(
        default=6.0,
        alias="rehearse",
        description="then images at the cell's own rate for so long, so that batches of its size "
        "are compiled code when they count",
        json_schema_extra={"allowed": Duration().allowed},
    )


class Gates(Section):
    """Limits of the checks that must hold before a result counts."""

    goodput_tolerance: Annotated[float, _by(Fraction())] = setting(
        Fraction(), 0.02, "allowed deviation of the measured from the expected goodput"
    )
    goodput_s: Annotated[float, _by(Duration())] = Field(
        default=2.0,
        alias="goodput_time",
        description="how long the goodput is measured, each direction",
        json_schema_extra={"allowed": Duration().allowed},
    )
    driver_headroom: Annotated[float, _by(Positive())] = setting(
        Positive(), 2.0, "times the cell's image rate that the unshaped producer must manage"
    )
    min_accuracy: Annotated[float | None, _by(OrWord("none", Fraction()))] = setting(
        OrWord("none", Fraction()), None, "share of right labels below which a cell fails"
    )
    min_accuracy_epochs: Annotated[int, _by(Count())] = setting(
        Count(), 1, "epochs from which on a training is held to `min_accuracy`"
    )
    contended_above: Annotated[float, _by(Fraction())] = setting(
        Fraction(),
        0.10,
        "share of the host's CPU time that others took above which a cell is contended",
    )


class Part(Section):
    """A slice of the matrix, or of a subset, that is one of several."""

    factors: dict[str, list[Any]] = Field(default_factory=dict)


class Subset(Section):
    """A named slice of the matrix, or the union of several."""

    factors: dict[str, list[Any]] = Field(default_factory=dict)
    parts: list[Part] = Field(default_factory=list)
    fixed: dict[str, Any] = Field(default_factory=dict)
    repeats: Annotated[int, _by(Count())] | None = None


class Reference(Section):
    """One published value to draw beside ours."""

    measure: Text
    at: dict[str, Any]
    value: PlainFloat
    source: Text


class BedByFactor(Section):
    """A bed per level of one factor."""

    factor: Text
    levels: dict[str | int, Text]


class ExperimentFile(Section):
    """The keys of an experiment file."""

    name: Name
    study: Text | None = None
    bed: Text | BedByFactor = "duo"
    pipeline: Text
    factors: dict[str, list[Any]] = Field(default_factory=dict)
    parts: list[Part] = Field(default_factory=list)
    fixed: dict[str, Any] = Field(default_factory=dict)
    subsets: dict[str, Subset] = Field(default_factory=dict)
    repeats: Annotated[int, _by(Count())] = setting(Count(), 1, "executions of every cell")
    warm_up: WarmUp = WarmUp()
    gates: Gates = Gates()
    reference: list[Reference] = Field(default_factory=list)


def keys_of(section: type[BaseModel]) -> list[str]:
    """The keys a user may write in a section."""
    return [_alias(name, info) for name, info in section.model_fields.items()]


def _alias(name: str, info: FieldInfo) -> str:
    return info.alias or name


def describe() -> list[dict[str, str]]:
    """The settings of `warm_up` and `gates` as data for the documentation."""
    rows = []
    for section, model in (("warm_up", WarmUp), ("gates", Gates)):
        for name, info in model.model_fields.items():
            extra = info.json_schema_extra
            allowed = extra.get("allowed", "") if isinstance(extra, dict) else ""
            rows.append(
                {
                    "key": f"{section}.{_alias(name, info)}",
                    "allowed": str(allowed),
                    "default": str(info.default),
                    "meaning": info.description or "",
                }
            )
    return rows
