"""What a factor is: one line in a configuration class is all there is to it.

Each pipeline has one frozen dataclass. An attribute is at the same time the value the runner
reads, the field of a result row (its name carries the unit) and part of a cell's identity;
`factor(...)` gives the name a user writes, what a level may be, and what it means; `by_mode(...)`
is a factor whose default the mode gives.
"""

import dataclasses
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from streambed.experiment.levels import Count, Duration, Kind, OrWord, Value

KEY = "streambed.factor"
"""Where a field keeps what it declares."""

MODES = ("engineered", "as_published")

BY_MODE = "by mode"
"""Stands where a factor takes its mode's value; a configuration that exists holds the value."""


@dataclass(frozen=True)
class Factor:
    """One thing an experiment can vary or fix."""

    name: str
    """What a user writes in the file and after `--set`."""
    field: str
    """Attribute of the configuration and field of the row; carries the unit."""
    kind: Kind
    default: Value
    """What a cell has when nothing is written; BY_MODE with `presets`."""
    meaning: str
    presets: Mapping[str, Value] = dataclasses.field(default_factory=dict)
    """Mode → default, where the mode decides."""

    @property
    def label(self) -> str:
        """For an axis or a heading: `bandwidth (Mbit/s)`."""
        words = self.name.replace("_", " ")
        return f"{words} ({self.kind.unit})" if self.kind.unit else words

    def parse(self, raw: object, folder: Path) -> Value:
        """The typed level (levels.Rejected when it is not one)."""
        return self.kind.parse(raw, folder)

    def show(self, value: Value) -> str:
        """The level as a user would write it."""
        return self.kind.show(value)

    def show_default(self) -> str:
        """The default; all of them, in the order of the modes, where the mode decides."""
        if not self.presets:
            return self.show(self.default)
        return f"{BY_MODE}: {', '.join(self.show(value) for value in self.presets.values())}"


def factor(name: str, kind: Kind, *, default: Value, meaning: str) -> Any:
    """Declare a factor as a dataclass field."""
    return dataclasses.field(
        default=default, metadata={KEY: {"name": name, "kind": kind, "meaning": meaning}}
    )


def preset_of(field: "dataclasses.Field[Any]", mode: str) -> Value:
    """What a mode decides for a factor that `by_mode` declared."""
    value: Value = field.metadata[KEY]["presets"][mode]
    return value


def by_mode(name: str, kind: Kind, *, engineered: Value, as_published: Value, meaning: str) -> Any:
    """Declare a factor whose default is the mode's: the two designs differ in it."""
    presets = dict(zip(MODES, (engineered, as_published), strict=True))
    entry = {"name": name, "kind": kind, "meaning": meaning, "presets": presets}
    return dataclasses.field(default=BY_MODE, metadata={KEY: entry})


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """What every pipeline can fix or vary."""

    pipeline: ClassVar[str]

    images: int | None = factor(
        "image_count",
        OrWord("auto", Count()),
        default=None,
        meaning="images sent in a cell; auto: as many as the warm-up and 8 whole triggers need",
    )
    duration_s: float | None = factor(
        "duration",
        OrWord("auto", Duration()),
        default=None,
        meaning="how long a cell sends, instead of a number of images",
    )

    @property
    def shared(self) -> Hashable:
        """Cells with the same share something costly on the bed; None: nothing is shared."""
        return None

    def contradictions(self) -> list[str]:
        """Why a cell with this configuration could not be run, in words; empty when it can."""
        if self.images is not None and self.duration_s is not None:
            return ["`image_count` and `duration` are both given; allowed is one of the two"]
        return []

    def as_fields(self) -> dict[str, Value]:
        """Field name → value, in the order of declaration."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
