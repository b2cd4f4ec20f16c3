"""What the nodes used during a cell, second by second: `resources.parquet` of an attempt.

Long format, one row per sample and figure: `at_s` (unix seconds), `node`, `group` (a service or
role, see `pipelines/process_groups.py`; null for figures of the whole node), `measure`, `value`.
`memory_bytes`, `threads` and `fds` are as they were then, every other measure is a counter that only
grows: the difference of two samples is what was used between them. Each node's limits stand in the table's metadata.
"""

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from streambed.errors import StreambedError
from streambed.results.files import atomic
from streambed.results.samples import Floats

FILE = "resources.parquet"
LEVELS = ("memory_bytes", "threads", "fds")
GROUPED = ("cpu_s", *LEVELS)
COUNTERS = (
    "sent_bytes",
    "received_bytes",
    "sent_packets",
    "received_packets",
    "disk_read_bytes",
    "disk_written_bytes",
    "account_at_s",
    "account_cpu_s",
)
"""Of the node's interface, of the disks of the machine it runs on, and of its control group: CPU
time as the kernel accounts for it, and when (unix seconds) that was read."""

_LIMITS = b"streambed.limits"
_SCHEMA = pa.schema(
    [
        pa.field("at_s", pa.float64(), metadata={"unit": "s", "meaning": "unix time"}),
        pa.field("node", pa.string()),
        pa.field("group", pa.string()),
        pa.field("measure", pa.string(), metadata={"meaning": "the unit is in the name"}),
        pa.field("value", pa.float64()),
    ]
)


@dataclass(frozen=True)
class Limits:
    """What a node may use at most."""

    cpus: float
    memory_bytes: int
    mtu_bytes: int
    """Of the interface that is counted."""
    cpus_in_force: float | None = None
    memory_bytes_in_force: int | None = None
    """What the node's control group allows, as read there; None without a limit."""


@dataclass(frozen=True)
class NodeUse:
    """The samples of one node, in the order of time; each array float64[n] like `at_s`."""

    limits: Limits
    at_s: Floats
    cpu_s: Mapping[str, Floats]
    """Per group, since the first sample; together the node's."""
    memory_bytes: Mapping[str, Floats]
    """Per group, at that moment."""
    counters: Mapping[str, Floats]
    """Those of `COUNTERS` that the node has."""
    threads: Mapping[str, Floats] = field(default_factory=dict)
    fds: Mapping[str, Floats] = field(default_factory=dict)
    """Open files; both per group, at that moment."""

    @classmethod
    def of_events(cls, events: Iterable[Mapping[str, Any]], limits: Limits) -> Self:
        """From the `sample` events of node program `sample`."""
        samples = sorted(events, key=lambda event: float(event["at"]))
        grouped = {
            measure: {
                # A group without a process uses nothing.
                group: np.array([s.get(measure, {}).get(group, 0.0) for s in samples], np.float64)
                for group in sorted({group for s in samples for group in s.get(measure, {})})
            }
            for measure in GROUPED
        }
        return cls(
            limits=limits,
            at_s=np.array([s["at"] for s in samples], np.float64),
            **grouped,
            counters={
                name: np.array([s[name] for s in samples], np.float64)
                for name in COUNTERS
                if all(name in s for s in samples)
            },
        )

    def levels(self, measure: str) -> Mapping[str, Floats]:
        """One of `LEVELS` per group."""
        found: Mapping[str, Floats] = getattr(self, measure)
        return found

    def accounted_cpu_s(self, start_s: float, end_s: float) -> float:
        """CPU time between two times (unix seconds) as the control group accounts for it.

        Linear between readings; NaN without any.
        """
        if "account_cpu_s" not in self.counters:
            return math.nan
        at_s, used_s = self.counters["account_at_s"], self.counters["account_cpu_s"]
        early, late = np.interp([start_s, end_s], at_s, used_s)
        return float(late - early)

    def columns(self) -> Iterable[tuple[str | None, str, Floats]]:
        """(group, measure, values) of everything that was sampled."""
        for measure in GROUPED:
            for group, values in getattr(self, measure).items():
                yield group, measure, values
        for measure, values in self.counters.items():
            yield None, measure, values


def write(path: Path, nodes: Mapping[str, NodeUse]) -> None:
    """Replace the table of an attempt atomically; `nodes` by name."""
    parts = [
        pa.table(
            [
                pa.array(use.at_s),
                pa.array([node] * len(values)),
                pa.array([group] * len(values), pa.string()),
                pa.array([measure] * len(values)),
                pa.array(values),
            ],
            schema=_SCHEMA,
        )
        for node, use in nodes.items()
        for group, measure, values in use.columns()
    ]
    limits = {node: dataclasses.asdict(use.limits) for node, use in nodes.items()}
    metadata = {_LIMITS: json.dumps(limits).encode()}
    table = pa.concat_tables(parts or [_SCHEMA.empty_table()]).replace_schema_metadata(metadata)
    with atomic(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read(path: Path) -> dict[str, NodeUse]:
    """The nodes by name, in the inventory's order.

    Raises:
        StreambedError: the file is missing, damaged, or holds something else.
    """
    try:
        table = pq.read_table(path)
        limits = json.loads(table.schema.metadata[_LIMITS])
        return {node: _node(table, node, Limits(**found)) for node, found in limits.items()}
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError) as error:
        raise StreambedError(f"{path}: not a table of the nodes' resources: {error}") from error


def _node(table: pa.Table, node: str, limits: Limits) -> NodeUse:
    mine = table.filter(pc.equal(table["node"], node))
    at_s = np.unique(mine["at_s"].to_numpy())
    grouped: dict[str, dict[str, Floats]] = {measure: {} for measure in GROUPED}
    counters: dict[str, Floats] = {}
    values = mine["value"].to_numpy()
    # Each (group, measure) was written as one stretch of len(at_s) rows.
    for start in range(0, len(values), max(1, len(at_s))):
        group, measure = mine["group"][start].as_py(), mine["measure"][start].as_py()
        found = values[start : start + len(at_s)]
        if group is None:
            counters[measure] = found
        else:
            grouped[measure][group] = found
    return NodeUse(limits, at_s, counters=counters, **grouped)
