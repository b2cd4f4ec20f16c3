"""Why does mine differ? What two runs differ in, and the ratios of their figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from streambed.experiment.factors import PIPELINES, by_field
from streambed.report.limits import judge
from streambed.report.manifest_diff import Difference, by_group, manifest_differences
from streambed.report.statistics import Estimate, ratio
from streambed.results.manifest import Manifest
from streambed.results.row import Flat
from streambed.results.run import Run

HEADLINES = {
    "image_rate_per_s": "image rate",
    "produce_rate_per_s": "produce rate",
    "consume_rate_per_s": "consume rate",
}
"""The first of these that both runs have is what the answer is about; in words."""

COMPARED = (
    *HEADLINES,
    "makespan_image_rate_per_s",
    "execution_s",
    "fairness",
    "link_utilisation",
    "goodput_up_mbit_per_s",
    "goodput_down_mbit_per_s",
    "micro_batch_mean_s",
    "micro_batch_p95_s",
    "latency_p50_s",
    "latency_p99_s",
    "latency_worst_p99_s",
    "records_per_request",
    "producer_cpu_s_per_image",
    "consumer_cpu_s_per_image",
    "producer_unshaped_rate_per_s",
    "cpu_share_max",
    "accuracy",
    "cold_start_s",
)
"""Figures whose ratio means something."""

SAME = 0.05
"""A ratio within this part of 1 is no difference that a reader should look into."""


@dataclass(frozen=True)
class CellRatio:
    """One measure in a cell that both runs have: second run over first."""

    label: str
    measure: str
    ratio: Estimate

    @property
    def differs(self) -> bool:
        """Farther from 1 than `SAME`, and 1 is outside of the interval where there is one."""
        found = self.ratio
        inside = found.low is not None and found.high is not None and found.low <= 1 <= found.high
        return abs(found.median - 1) > SAME and not inside


@dataclass(frozen=True)
class CellLimits:
    """What limited the results of a cell, and how many were flagged, in either run."""

    label: str
    first: str
    second: str


@dataclass(frozen=True)
class Comparison:
    """The first run, the second, and what lies between them."""

    first: Run
    second: Run
    differences: tuple[Difference, ...]
    ratios: tuple[CellRatio, ...]
    limits: tuple[CellLimits, ...]
    """Of the cells that both have; empty for a pipeline without micro-batches."""
    only: tuple[tuple[str, ...], tuple[str, ...]]
    """Labels of cells with a result in the first run only, and in the second only."""

    def of(self, measure: str) -> list[CellRatio]:
        """The ratios of one measure."""
        return [entry for entry in self.ratios if entry.measure == measure]

    @property
    def rate(self) -> str:
        """The measure that the answer is about."""
        return next((measure for measure in HEADLINES if self.of(measure)), next(iter(HEADLINES)))

    def headline(self) -> str:
        """The answer in two sentences: how much, and what may be why."""
        return f"{self._how_much()} {self._why()}"

    def _how_much(self) -> str:
        found, name = self.of(self.rate), HEADLINES[self.rate]
        if not found:
            return "No cell has an image rate in both runs."
        cells = f"{len(found)} cells" if len(found) > 1 else "the one cell both have"
        values = [entry.ratio.median for entry in found]
        different = sum(entry.differs for entry in found)
        if not different:
            return (
                f"The {name}s are the same: second over first is {median(values):.3f} in the "
                f"middle of {cells}, and none differs by more than {100 * SAME:g} % beyond its "
                "interval."
            )
        spread = f", {min(values):.3f} to {max(values):.3f}" if len(values) > 1 else ""
        return (
            f"The {name}s differ in {different} of {cells}: second over first is "
            f"{median(values):.3f} in the middle{spread}."
        )

    def _why(self) -> str:
        groups = {g: len(entries) for g, entries in by_group(self.differences).items()}
        if not groups:
            return "Nothing that was recorded differs; flags and the load of the host are left."
        counts = [f"{group} ({count})" for group, count in groups.items()]
        return f"What differs: {', '.join(counts)}."


def compare(first: Run, second: Run) -> Comparison:
    """Compare two runs; their cells are matched by the levels of all varied factors."""
    fields = tuple(dict.fromkeys([*first.manifest.factors, *second.manifest.factors]))
    left, right = _cells(first, fields), _cells(second, fields)
    ratios, limits = [], []
    for key, rows in left.items():
        if key not in right:
            continue
        label = _label(first.manifest, fields, key)
        for measure in COMPARED:
            found = ratio(_values(right[key], measure), _values(rows, measure))
            if found is not None:
                ratios.append(CellRatio(label, measure, found))
        if "trigger_s" in rows[0] and "trigger_s" in right[key][0]:
            limits.append(CellLimits(label, _limits(rows), _limits(right[key])))
    return Comparison(
        first=first,
        second=second,
        differences=manifest_differences(first.manifest, second.manifest),
        ratios=tuple(ratios),
        limits=tuple(limits),
        only=(
            tuple(_label(first.manifest, fields, key) for key in left if key not in right),
            tuple(_label(second.manifest, fields, key) for key in right if key not in left),
        ),
    )


def _cells(run: Run, fields: Sequence[str]) -> dict[tuple[Any, ...], list[Flat]]:
    cells: dict[tuple[Any, ...], list[Flat]] = {}
    for row in run.rows():
        if row["status"] == "ok":
            cells.setdefault(tuple(row.get(field) for field in fields), []).append(row)
    order = {cell.id: index for index, cell in enumerate(run.manifest.cells)}
    return dict(sorted(cells.items(), key=lambda entry: order[entry[1][0]["cell"]]))


def _values(rows: Sequence[Flat], measure: str) -> list[float]:
    return [float(row[measure]) for row in rows if row.get(measure) is not None]


def _limits(rows: Sequence[Flat]) -> str:
    """`link`, or `processing; contended 2 of 3`."""
    kinds = ", ".join(dict.fromkeys(str(judge(row).limit) for row in rows))
    flags = sorted({flag for row in rows for flag in row["flags"]})
    counts = [f"{f.replace('_', ' ')} {sum(f in row['flags'] for row in rows)}" for f in flags]
    return "; ".join([kinds, *(f"{count} of {len(rows)}" for count in counts)])


def _label(manifest: Manifest, fields: Sequence[str], key: tuple[Any, ...]) -> str:
    factors = by_field(manifest.pipeline) if manifest.pipeline in PIPELINES else {}
    shown = [
        factors[field].show(value) if field in factors else str(value)
        for field, value in zip(fields, key, strict=True)
    ]
    return ", ".join(shown) or manifest.experiment
