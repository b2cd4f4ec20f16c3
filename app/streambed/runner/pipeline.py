"""What a run asks of a pipeline: one cell carried out, judged, and told as figures."""

import json
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from streambed.experiment.cells import Cell
from streambed.gates.reading import Reading
from streambed.results.files import write_text
from streambed.results.manifest import Facts
from streambed.results.measures import Measures
from streambed.runner.display import Display
from streambed.runner.kept import Kept
from streambed.runner.remote import Fleet


@dataclass
class Work:
    """One attempt at one cell: where it runs, and what it may use."""

    fleet: Fleet
    cell: Cell
    name: str
    """Unlike any other attempt's: in the names of topics and files on the nodes."""
    directory: Path
    """Where raw samples of this attempt are kept."""
    display: Display
    record_facts: Callable[[Facts], None]
    """Enters what was learnt into the run's manifest; refuses what contradicts it."""
    known: dict[Hashable, float] = field(default_factory=dict)
    """Figures measured once per run, shared by its attempts."""
    kept: Kept = field(default_factory=Kept)
    """What runs on the bed for more than one attempt."""

    @property
    def bed(self) -> str:
        """The name of the bed."""
        return self.fleet.inventory.name

    def keep_events(self, **content: object) -> None:
        """Write what the node programs told, as `events.json` of this attempt."""
        write_text(self.directory / "events.json", json.dumps(content, indent=1) + "\n")


@dataclass(frozen=True)
class Outcome:
    """A cell's figures, and the gates that say whether they count."""

    measures: Measures
    readings: list[Reading]


class PipelineCell(Protocol):
    """One attempt at a cell of some pipeline."""

    async def run(self) -> Outcome:
        """Carry it out.

        Raises:
            CellFailure: a step failed; `partial` then tells what is known.
        """

    def partial(self) -> Outcome:
        """What was observed of a cell that failed on the way."""
