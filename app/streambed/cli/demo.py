"""The main job, from a bare machine to a figure."""

import sys
import time
from pathlib import Path

import click

from streambed.cli import options
from streambed.console import err, out, step


@click.command()
@options.results
@click.option("--keep", is_flag=True, help="Leave the bed up at the end.")
def demo(results_path: Path | None, keep: bool) -> None:
    """Bring up a two-node bed, run a small bandwidth experiment on MNIST, report, clean up."""
    from streambed import inventory, report
    from streambed.beds import lifecycle
    from streambed.experiment import Overrides, load
    from streambed.quantities import format_duration
    from streambed.results import run as runs
    from streambed.results import writer as writers
    from streambed.runner import run as running

    began = time.monotonic()
    experiment = load("small", Overrides())
    bed = inventory.load(experiment.beds[0])
    was_up = lifecycle.is_up(bed)
    try:
        lifecycle.up(bed)
        with writers.create(experiment, results_path) as writer:
            step(f"run {writer.directory.name}")
            good = running.Runner(writer).run()
        built = report.build([runs.open_run(writer.directory)], None)
    finally:
        # A bed that was up before the demo is somebody's: it stays.
        if not keep and not was_up:
            lifecycle.down(bed)
    took = format_duration(time.monotonic() - began)
    err.print(f"{built.headline}  [dim]({took})[/dim]")
    err.print(f"figures as a table: ./streambed results {writer.directory.name}")
    err.print("the report:")
    out.print(str(built.page), soft_wrap=True)
    sys.exit(0 if good else 1)


COMMANDS = (demo,)
