"""What the command line changes in an experiment: `--set`, `--subset`, `--images` and the like."""

from dataclasses import dataclass
from typing import Any

from streambed.experiment.mistakes import Mistakes, Place
from streambed.experiment.source import scalar


@dataclass(frozen=True)
class Overrides:
    """Options of `plan` and `run`, as typed."""

    set: tuple[str, ...] = ()
    """`factor=level[,level...]`, one per `--set`."""
    subset: str | None = None
    images: int | None = None
    duration: str | None = None
    repeats: int | None = None
    bed: str | None = None
    """`-i INVENTORY`."""

    def as_record(self) -> dict[str, Any]:
        """For the manifest: only what was given."""
        given = {
            "set": list(self.set),
            "subset": self.subset,
            "images": self.images,
            "duration": self.duration,
            "repeats": self.repeats,
            "bed": self.bed,
        }
        return {key: value for key, value in given.items() if value not in (None, [])}


@dataclass(frozen=True)
class Assignment:
    """One `--set`: the name and its levels, typed like values of a file."""

    place: Place
    name: str
    levels: tuple[object, ...]


def assignments(overrides: Overrides, mistakes: Mistakes) -> list[Assignment]:
    """The options that set factors, `--images` and `--duration` included."""
    result = []
    seen: set[str] = set()
    for text in overrides.set:
        place = Place(f"--set {text}")
        name, equals, levels = text.partition("=")
        if not equals or not name.strip() or not levels.strip():
            mistakes.add(place, "allowed is FACTOR=LEVEL[,LEVEL...]")
            continue
        if name.strip() in seen:
            mistakes.add(place, f"{name.strip()!r} is set twice; allowed is once")
            continue
        seen.add(name.strip())
        parts = tuple(scalar(part.strip()) if part.strip() else "" for part in levels.split(","))
        result.append(Assignment(place, name.strip(), parts))
    if overrides.images is not None and overrides.duration is not None:
        mistakes.add(Place("--images"), "cannot be given together with --duration")
    if overrides.images is not None:
        place = Place(f"--images {overrides.images}")
        result.append(Assignment(place, "image_count", (overrides.images,)))
    if overrides.duration is not None:
        place = Place(f"--duration {overrides.duration}")
        result.append(Assignment(place, "duration", (overrides.duration,)))
    return result
