"""Experiments: plan, run, results, report, compare."""

import sys
from pathlib import Path
from typing import Any

import click
from rich.markup import escape

from streambed.cli import options
from streambed.console import err, out, step
from streambed.errors import StreambedError

_SHAPE_OF_RUN: tuple[options.Decorator, ...] = (
    options.bed_of_experiment,
    click.option(
        "--set",
        "assignments",
        multiple=True,
        metavar="FACTOR=A,B",
        help="Levels of a factor, or a fixed value; may be given again.",
    ),
    click.option("--subset", help="A named slice of the matrix."),
    click.option("--images", type=click.IntRange(min=1), help="Images sent in each cell."),
    click.option("--duration", metavar="T", help="How long each cell sends, as in '30 s'."),
    click.option("--repeats", type=click.IntRange(min=1), help="Executions of every cell."),
)


def _shape_of_run(function: Any) -> Any:
    for option in reversed(_SHAPE_OF_RUN):
        function = option(function)
    return function


def _load(
    experiment: str,
    inventory_path: str | None,
    assignments: tuple[str, ...],
    subset: str | None,
    images: int | None,
    duration: str | None,
    repeats: int | None,
) -> Any:
    from streambed.experiment import Overrides, load

    overrides = Overrides(
        set=assignments,
        subset=subset,
        images=images,
        duration=duration,
        repeats=repeats,
        bed=inventory_path,
    )
    return load(experiment, overrides)


@click.command()
@click.argument("experiment")
@_shape_of_run
@options.as_json
def plan(experiment: str, as_json: bool, **shape: Any) -> None:
    """Show what `run` would do: cells, placement, shaping commands, time. Touches nothing."""
    from streambed.experiment import plan as plans

    planned = plans.build(_load(experiment, **shape))
    if as_json:
        click.echo(plans.to_json(planned))
    else:
        out.print(plans.render(planned))


@click.command()
@click.argument("experiment")
@_shape_of_run
@options.results
@click.option(
    "--resume",
    is_flag=False,
    flag_value="",
    default=None,
    metavar="[RUN]",
    help="Go on with a run: the newest one of this experiment unless named.",
)
@click.option("--seed", type=click.IntRange(min=0), help="Seed of the order of the cells.")
def run(
    experiment: str,
    results_path: Path | None,
    resume: str | None,
    seed: int | None,
    **shape: Any,
) -> None:
    """Run the cells of EXPERIMENT on its bed, which is brought up when it is down."""
    from streambed.experiment import plan as plans
    from streambed.results import writer as writers
    from streambed.runner import run as runs

    loaded = _load(experiment, **shape)
    plans.build(loaded)  # placement and link of every cell, before anything is made
    runs.refuse_busy_beds(loaded.beds)
    if resume is None:
        writer = writers.create(loaded, results_path, seed=seed)
    elif seed is not None:
        raise StreambedError("--seed and --resume exclude each other: a run keeps its order")
    else:
        writer = writers.resume(loaded, results_path, run=resume or None)
    with writer:
        step(f"run {writer.directory.name}")
        try:
            good = runs.Runner(writer).run()
        except KeyboardInterrupt:
            err.print(f"to go on: the same command with --resume {escape(str(writer.directory))}")
            raise
        runs.report_outcome(writer)
    sys.exit(0 if good else 1)


@click.command()
@click.argument("run")
@options.results
@options.as_json
@click.option("--all", "every_attempt", is_flag=True, help="Every attempt, not only the last.")
def results(run: str, results_path: Path | None, as_json: bool, every_attempt: bool) -> None:
    """Show the figures of RUN: a run, its path, or an experiment (its newest run)."""
    from streambed.results import run as runs
    from streambed.results import show

    found = runs.find(run, results_path)
    if as_json:
        click.echo(show.to_json(found, every_attempt=every_attempt))
    else:
        out.print(show.render(found, every_attempt=every_attempt))


@click.command()
@click.argument("run", nargs=-1, required=True)
@options.results
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="Where the page and figures go  [default: report/ in the run]",
)
def report(run: tuple[str, ...], results_path: Path | None, output: Path | None) -> None:
    """Draw the figures of one or more runs: one HTML page, and PNG, SVG, CSV per figure."""
    from streambed import report as reports
    from streambed.results import run as runs

    built = reports.build([runs.find(name, results_path) for name in run], output)
    err.print(built.headline)
    out.print(str(built.page), soft_wrap=True)


@click.command()
@click.argument("run")
@click.argument("other")
@options.results
@options.as_json
def compare(run: str, other: str, results_path: Path | None, as_json: bool) -> None:
    """Why does mine differ? What the manifests differ in, and the ratios of the figures."""
    import streambed.report.compare as comparing
    from streambed.report import compare_show
    from streambed.results import run as runs

    compared = comparing.compare(runs.find(run, results_path), runs.find(other, results_path))
    if as_json:
        click.echo(compare_show.to_json(compared))
    else:
        out.print(compare_show.render(compared))


COMMANDS = (plan, run, results, report, compare)
