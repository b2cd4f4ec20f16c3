"""What a run would do: cells, order, placement, the exact shaping commands, the time it takes.

Reads the experiment and the inventories; touches nothing.
"""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from streambed import inventory, link
from streambed.beds import capacity, engines
from streambed.errors import StreambedError
from streambed.experiment.cells import Cell, cells
from streambed.experiment.estimate import bed_up_s, cell_s, run_s
from streambed.experiment.experiment import Experiment
from streambed.experiment.kafka import BrokerConfiguration
from streambed.experiment.order import Execution, default_seed, order
from streambed.experiment.placement import KafkaPlacement, Placement, place, place_kafka
from streambed.quantities import format_duration

INTERFACE = "eth0"
"""Shown when the inventory does not name the client's interface (`bandwidth_shaping_interface`)."""


@dataclass(frozen=True)
class PlannedCell:
    """A cell with where it runs, how its link is shaped, and for how long."""

    cell: Cell
    placement: Placement | KafkaPlacement
    commands: tuple[link.Command, ...]
    """Run on the client node by `streambed-link set`; empty when nothing is shaped."""
    estimated_s: float


@dataclass(frozen=True)
class Plan:
    """Everything `plan` shows."""

    experiment: Experiment
    seed: int
    cells: tuple[PlannedCell, ...]
    executions: tuple[Execution, ...]
    beds_up_s: float
    """Of the estimate: for beds that are down."""
    estimated_s: float


def build(experiment: Experiment, *, seed: int | None = None) -> Plan:
    """Plan a run of an experiment.

    Raises:
        StreambedError: the inventory is unknown, has no node for a part of the pipeline, its
            quotas are more than this host has, or it has no training engine that a cell asks for.
    """
    beds = [inventory.load(bed) for bed in experiment.beds]
    for bed in beds:
        if bed.in_containers:
            capacity.check(bed.nodes, capacity.this_host())
    for name, bed in zip(experiment.beds, beds, strict=True):
        here = [c for c in experiment.configurations() if experiment.bed_of(c) == name]
        engines.refuse_missing(bed, {getattr(c, "engine", "") for c in here})
    all_cells = cells(experiment)
    chosen = default_seed(all_cells) if seed is None else seed
    executions = order(all_cells, experiment.repeats, chosen)
    beds_up_s = sum(bed_up_s(len(bed.nodes)) for bed in beds)
    return Plan(
        experiment=experiment,
        seed=chosen,
        cells=tuple(_planned(cell) for cell in all_cells),
        executions=executions,
        beds_up_s=beds_up_s,
        estimated_s=beds_up_s + run_s(executions),
    )


def _planned(cell: Cell) -> PlannedCell:
    placement = _placed(cell)
    return PlannedCell(cell, placement, shaping_commands(cell, placement), cell_s(cell))


def _placed(cell: Cell) -> Placement | KafkaPlacement:
    bed = inventory.load(cell.bed)
    if isinstance(cell.config, BrokerConfiguration):
        return place_kafka(cell.config, bed)
    return place(cell.streaming, bed)


def shaping_commands(cell: Cell, placement: Placement | KafkaPlacement) -> tuple[link.Command, ...]:
    """What `streambed-link set` runs on the client node, from an unshaped link."""
    rate: float | None = getattr(cell.config, "bandwidth_mbit_per_s", None)
    if rate is None:
        return ()
    variables = placement.producer.variables
    try:
        shaped = link.Link(
            interface=str(variables.get("bandwidth_shaping_interface", INTERFACE)),
            peers=tuple(sorted(node.bed_address for node in placement.peers)),
        )
        return link.set_commands(shaped, rate * 1e6)
    except link.LinkError as error:
        raise StreambedError(
            f"inventory {cell.bed}: {error}", hint="give each node an IPv4 `bed_address`"
        ) from error


def to_data(plan: Plan) -> dict[str, Any]:
    """The plan as JSON-ready data; times in seconds."""
    return {
        "experiment": plan.experiment.name,
        "subset": plan.experiment.subset,
        "seed": plan.seed,
        "repeats": plan.experiment.repeats,
        "estimated_s": round(plan.estimated_s, 1),
        "order": [
            {"cell": execution.cell.id, "repeat": execution.repeat} for execution in plan.executions
        ],
        "cells": [
            {
                "cell": planned.cell.id,
                "identity": planned.cell.identity,
                "label": planned.cell.label,
                **planned.cell.effective(),
                "placement": planned.placement.roles(),
                "shaping": {
                    "node": planned.placement.producer.name,
                    "commands": [shlex.join(command) for command in planned.commands],
                },
                "estimated_s": round(planned.estimated_s, 1),
            }
            for planned in plan.cells
        ],
    }


def to_json(plan: Plan) -> str:
    """The plan as one JSON object."""
    return json.dumps(to_data(plan), indent=2, allow_nan=False)


def render(plan: Plan) -> RenderableType:
    """The plan for a terminal."""
    experiment = plan.experiment
    repeats = f"{experiment.repeats} repeat{'s' if experiment.repeats > 1 else ''}"
    subset = f", subset {experiment.subset}" if experiment.subset else ""
    heading = Text.assemble(
        (experiment.name, "bold"),
        f"{subset}: {len(plan.cells)} cells, {repeats}, about "
        f"{format_duration(plan.estimated_s)} "
        f"({format_duration(plan.beds_up_s)} of it for beds that are down)",
    )
    return Group(heading, "", _cells_table(plan), "", *_fixed(plan), *_placements(plan.cells))


def _cells_table(plan: Plan) -> Table:
    table = Table(box=None, title="Cells, in the order of execution", title_justify="left")
    for factor in plan.experiment.varied:
        table.add_column(factor.name.replace("_", " "), justify="right")
    for heading in ("cell", "images", "estimated"):
        table.add_column(heading, justify="right" if heading != "cell" else "left")
    table.add_column("position in each repeat")
    positions: dict[str, list[str]] = {}
    for index, execution in enumerate(plan.executions):
        positions.setdefault(execution.cell.id, []).append(str(index % len(plan.cells) + 1))
    for planned in sorted(plan.cells, key=lambda p: int(positions[p.cell.id][0])):
        cell = planned.cell
        table.add_row(
            *(f.show(getattr(cell.config, f.field)) for f in plan.experiment.varied),
            cell.id,
            "as found" if cell.images is None else f"{cell.images:,}",
            format_duration(planned.estimated_s),
            ", ".join(positions[cell.id]),
        )
    return table


def _fixed(plan: Plan) -> list[RenderableType]:
    varied = {factor.name for factor in plan.experiment.varied} | {"image_count", "duration"}
    configs = [planned.cell.config for planned in plan.cells]
    same, derived = [], []
    for name, factor in plan.experiment.factors.items():
        if name not in varied:
            found = {factor.show(getattr(each, factor.field)) for each in configs}
            same += [f"{name} {value}" for value in found if len(found) == 1]
            derived += [name] if len(found) > 1 else []
    parts: list[RenderableType] = [Text(f"The same in all cells: {', '.join(same)}.")]
    if derived:
        parts.append(Text(f"Decided by the levels of others: {', '.join(derived)}."))
    return [*parts, Text(f"Seed {plan.seed}."), ""]


def _placements(planned_cells: Sequence[PlannedCell]) -> list[RenderableType]:
    """Placement and shaping, once for all cells that share them."""
    groups: dict[tuple[str, str, tuple[link.Command, ...]], list[PlannedCell]] = {}
    for planned in planned_cells:
        key = (planned.cell.bed, repr(planned.placement.roles()), planned.commands)
        groups.setdefault(key, []).append(planned)
    parts: list[RenderableType] = []
    for members in groups.values():
        first = members[0]
        parts.append(Text("; ".join(planned.cell.label for planned in members), style="bold"))
        for node, roles in first.placement.roles().items():
            parts.append(Text(f"  {node} ({first.cell.bed}): {', '.join(roles)}"))
        if first.commands:
            parts.append(Text(f"  shaped on {first.placement.producer.name}, as root:"))
            parts += [Text(f"    {shlex.join(command)}") for command in first.commands]
        else:
            parts.append(Text("  the link is not shaped"))
        parts.append("")
    return parts
