"""Published values: which of the runs' references lie on a figure, and where."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from streambed.report.data import ReportData

APPROXIMATELY = ("≈", "about ")
"""In a reference's `source`: the text gives no exact number."""


@dataclass(frozen=True)
class Published:
    """A value from the literature."""

    x: Any
    series: Any
    """None: it belongs to no curve of the figure."""
    panel: str
    value: float
    source: str


def published(data: ReportData, measure: str) -> list[Published]:
    """The references of a measure that lie on a figure, once for each panel they belong to.

    A reference that names no level of a factor holds for all of its levels; one that names a
    level that the figure does not show lies elsewhere.
    """
    found: dict[Published, None] = {}
    for run in data.runs:
        for entry in run.manifest.references:
            at = entry["at"]
            if entry["measure"] != measure or data.x not in at or not _is_shown(data, at):
                continue
            series = at.get(data.series) if data.series else None
            for panel, levels in data.panel_levels.items():
                if all(at.get(field, level) == level for field, level in levels.items()):
                    value = Published(at[data.x], series, panel, entry["value"], entry["source"])
                    found[value] = None
    return list(found)


def label(values: list[Published]) -> str:
    """What the figure calls them."""
    approximate = any(sign in value.source for value in values for sign in APPROXIMATELY)
    return "published ≈" if approximate else "published"


def _is_shown(data: ReportData, at: Mapping[str, Any]) -> bool:
    return all(
        any(row.get(field) == level for row in data.rows)
        for field, level in at.items()
        if field not in (data.x, data.series)
    )
