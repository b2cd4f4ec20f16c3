"""The manifest: what must be known to judge a run later, or to repeat it."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from streambed.errors import StreambedError
from streambed.results.files import write_text

FORMAT = 1
FILE = "manifest.json"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", validate_assignment=True)


class Facts(_Part):
    """What the runner found out about the bed and the code; no secret belongs here.

    All cells of a run share these, so a resumed run must find the same (see `MUST_MATCH`).
    """

    project: dict[str, Any] = Field(default_factory=dict, description="commit, dirty, version")
    controller: dict[str, Any] = Field(
        default_factory=dict, description="kernel, CPU model, cores, memory, Python of this host"
    )
    inventory: dict[str, Any] = Field(
        default_factory=dict, description="nodes: groups, cpus, memory; no keys, no passwords"
    )
    nodes: dict[str, Any] = Field(
        default_factory=dict, description="per node: kernel, CPU, container limits read back"
    )
    versions: dict[str, Any] = Field(default_factory=dict, description="everything that ran")
    effective: dict[str, Any] = Field(
        default_factory=dict, description="configuration of Kafka, Spark, model as read back"
    )
    checksums: dict[str, Any] = Field(
        default_factory=dict, description="sha256 of artifacts, application, weights, images"
    )


MUST_MATCH = ("inventory", "versions", "effective", "checksums")
"""The facts that results in one run must share; the others may differ between two resumes."""


class CellRecord(_Part):
    """A cell as the run executed it."""

    id: str
    identity: str
    label: str
    fields: dict[str, Any]
    """What its rows hold of the configuration."""
    effective: dict[str, Any]
    """What the identity is the hash of."""


class Manifest(_Part):
    """manifest.json. Times are ISO 8601, UTC."""

    format: int = FORMAT
    experiment: str
    study: str | None
    pipeline: str
    factors: list[str]
    """Fields of the varied factors, in the file's order."""
    file: str
    """The experiment file's path when it ran."""
    text: str
    """The experiment file as it was."""
    options: dict[str, Any]
    """What the command line changed."""
    config_hash: str
    seed: int
    repeats: int
    order: list[tuple[str, int]]
    """(cell, repeat) as planned."""
    cells: list[CellRecord]
    references: list[dict[str, Any]] = []
    created_at: str
    resumed_at: list[str] = []
    finished_at: str | None = None
    facts: Facts = Facts()


def write(directory: Path, manifest: Manifest) -> None:
    """Replace the manifest atomically."""
    write_text(directory / FILE, manifest.model_dump_json(indent=2) + "\n")


def read(directory: Path) -> Manifest:
    """The manifest of a run.

    Raises:
        StreambedError: there is none, it is damaged, or a newer Streambed wrote it.
    """
    path = directory / FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise StreambedError(f"{directory}: not a run: it has no {FILE}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise StreambedError(f"{path}: cannot be read: {error}") from error
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError as errors:
        first = errors.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise StreambedError(
            f"{path}: damaged, or not the manifest of a run: {where}: {first['msg']}"
        ) from errors
    if manifest.format != FORMAT:
        raise StreambedError(
            f"{path}: format {manifest.format}; this version reads {FORMAT}",
            hint="use the version of Streambed that wrote it",
        )
    return manifest


def flatten(data: object, prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one: `{"a": {"b": 1}}` → `{"a.b": 1}`; lists are leaves."""
    if isinstance(data, dict) and data:
        return {
            name: leaf
            for key, value in data.items()
            for name, leaf in flatten(value, f"{prefix}.{key}" if prefix else str(key)).items()
        }
    return {prefix: data}


def differences(before: object, after: object) -> dict[str, tuple[Any, Any]]:
    """Dotted name → (before, after) for all that is not the same; None where one has nothing."""
    left, right = flatten(before), flatten(after)
    return {
        name: (left.get(name), right.get(name))
        for name in dict.fromkeys((*left, *right))
        if left.get(name) != right.get(name)
    }


def merge(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Nested mappings as one; where both have a value, `after` has it."""
    merged = dict(before)
    for key, value in after.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            merged[key] = merge(old, value)
        else:
            merged[key] = value
    return merged
