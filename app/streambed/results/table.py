"""Rows in Parquet: typed columns with unit and meaning; `gates` as JSON text."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from streambed.errors import StreambedError
from streambed.experiment.factors import PIPELINES, by_field
from streambed.experiment.levels import Count, Duration, Fraction, ImageRate, Kind, OrWord, Rate, Size
from streambed.results.files import atomic
from streambed.results.measures import MEASURES
from streambed.results.row import Flat

_FIXED: dict[str, pa.DataType] = {
    "status": pa.string(),
    "flags": pa.list_(pa.string()),
    "attempt": pa.int64(),
    "repeat": pa.int64(),
    "cell": pa.string(),
    "payload_bytes": pa.int64(),
    "reason": pa.string(),
    "started_at": pa.float64(),
    "ended_at": pa.float64(),
    "gates": pa.string(),
}
_OF_FIGURE: dict[type, pa.DataType] = {int: pa.int64(), float: pa.float64(), str: pa.string()}


def write(path: Path, rows: Sequence[Flat]) -> None:
    """Replace the table atomically and durably."""
    with atomic(path) as temporary:
        pq.write_table(_table(rows), temporary, compression="zstd")


def read(path: Path) -> list[Flat]:
    """Every row, in the order of writing; a run that has none yet gives none.

    Raises:
        StreambedError: the file is damaged or is no table of rows.
    """
    if not path.exists():
        return []
    try:
        rows: list[Flat] = pq.read_table(path).to_pylist()
        for row in rows:
            row["gates"] = json.loads(row["gates"]) if row["gates"] else {}
            row["flags"] = row["flags"] or []
    except (OSError, pa.ArrowException, ValueError, KeyError) as error:
        raise StreambedError(
            f"{path}: damaged, or not a table of results: {error}",
            hint="the raw samples beside it are untouched; run the experiment again",
        ) from error
    return rows


def _table(rows: Sequence[Flat]) -> pa.Table:
    names = list(dict.fromkeys(name for row in rows for name in row))
    stored = [{**row, "gates": json.dumps(row["gates"], allow_nan=False)} for row in rows]
    columns, fields = [], []
    for name in names:
        values = [row.get(name) for row in stored]
        column = pa.array(values, type=_type(name))
        columns.append(column)
        fields.append(pa.field(name, column.type, metadata=_meaning(name)))
    return pa.table(columns, schema=pa.schema(fields))


def _type(name: str) -> pa.DataType | None:
    """The column's type, the same whatever the rows hold; None: let Arrow see (old fields)."""
    if name in _FIXED:
        return _FIXED[name]
    if name in MEASURES:
        return _OF_FIGURE[MEASURES[name].type]
    for pipeline in PIPELINES:
        factor = by_field(pipeline).get(name)
        if factor is not None:
            return _of_kind(factor.kind)
    return None


def _of_kind(kind: Kind) -> pa.DataType:
    if isinstance(kind, OrWord):
        return _of_kind(kind.kind)
    if isinstance(kind, Rate | Duration | ImageRate | Fraction):
        return pa.float64()
    return pa.int64() if isinstance(kind, Count | Size) else pa.string()


def _meaning(name: str) -> dict[str, str] | None:
    if name in MEASURES:
        return {"unit": MEASURES[name].unit, "meaning": MEASURES[name].meaning}
    for pipeline in PIPELINES:
        factor = by_field(pipeline).get(name)
        if factor is not None:
            return {"unit": factor.kind.unit, "meaning": factor.meaning}
    return None


def last_attempts(rows: Iterable[Flat]) -> list[Flat]:
    """Of every cell and repeat the row of the last attempt, in the order of first execution."""
    last: dict[tuple[Any, Any], Flat] = {}
    for row in rows:
        key = (row["cell"], row["repeat"])
        if key not in last or row["attempt"] >= last[key]["attempt"]:
            last[key] = row
    return list(last.values())
