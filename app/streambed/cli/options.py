"""Options that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from streambed.pipelines.training.names import EXTRAS

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

inventory: Decorator = click.option(
    "-i",
    "--inventory",
    "inventory_path",
    default="inventory/duo",
    show_default=True,
    help="The bed: a directory or a file with its inventory.",
)
bed_of_experiment: Decorator = click.option(
    "-i",
    "--inventory",
    "inventory_path",
    default=None,
    help="The bed  [default: the experiment's own, else inventory/duo]",
)
results: Decorator = click.option(
    "--results",
    "results_path",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="Where runs are kept  [default: results/ in the clone]",
)
engines: Decorator = click.option(
    "--engine",
    "engines",
    multiple=True,
    type=click.Choice(EXTRAS),
    help="A training engine; may be given again.",
)
as_json: Decorator = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
