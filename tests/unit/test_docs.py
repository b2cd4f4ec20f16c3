"""docs/reference.md says what the registries say.

After a change of a factor or a measure write it anew:
`PYTHONPATH=app python tests/unit/test_docs.py`, with the launcher's Python.
"""

from streambed import paths
from streambed.experiment import factors
from streambed.results import measures

PAGE = paths.ROOT / "docs" / "reference.md"

_HEAD = """\
# Reference: factors and measures
Written from the registries in `app/streambed/experiment/factors.py` and
`app/streambed/results/measures.py`; a unit test fails when they differ.
"""


def _table(rows: list[dict[str, str]], columns: dict[str, str]) -> list[str]:
    """A Markdown table; `columns`: key of a row → pattern of its cells."""
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for row in rows:
        cells = [pattern.format(row[key]) if row[key] else "" for key, pattern in columns.items()]
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return lines


def page() -> str:
    """The whole page."""
    factor_columns = {"factor": "`{}`", "levels": "{}", "default": "`{}`", "field": "`{}`"}
    lines = [_HEAD]
    for title, rows, columns in (
        ("Factors", factors.describe(), factor_columns | {"meaning": "{}"}),
        ("Measures", measures.describe(), {"field": "`{}`", "unit": "{}", "meaning": "{}"}),
    ):
        for pipeline in dict.fromkeys(row["pipeline"] for row in rows):
            lines.append(f"## {title} of pipeline `{pipeline}`")
            lines += [*_table([row for row in rows if row["pipeline"] == pipeline], columns), ""]
    return "\n".join(lines).rstrip() + "\n"


def test_the_reference_page_is_what_the_registries_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
