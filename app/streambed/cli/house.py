"""The project's own keeping: doctor, test, artifacts, audit, clean."""

import sys

import click

from streambed.cli import options
from streambed.console import out


@click.command()
@options.as_json
def doctor(as_json: bool) -> None:
    """Can this machine host a bed? Each need, found or not, and the command that mends it."""
    from streambed.host import doctor as rooms

    sys.exit(rooms.run(as_json=as_json))


@click.command()
@click.option("--quick", is_flag=True, help="Only what needs no bed: linters, types, unit tests.")
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Also three brokers, a lab, Vagrant and a training: half an hour more.",
)
def test(quick: bool, everything: bool) -> None:
    """Run the checks of the project; the last line is `N passed, N failed`."""
    from streambed import checks

    if quick and everything:
        raise click.UsageError("--quick and --all: one of them")
    tally = checks.run(quick=quick, everything=everything)
    out.print(tally.line())
    sys.exit(1 if tally.failed or not tally.passed else 0)


@click.command()
@options.engines
@options.as_json
def artifacts(engines: tuple[str, ...], as_json: bool) -> None:
    """Fetch what the nodes need into the cache, verify it and list it."""
    from streambed import artifacts as cache

    cache.show(extras=engines, as_json=as_json)


@click.command()
@click.option("--offline", is_flag=True, help="Only list; ask nobody for advisories.")
@options.as_json
def audit(offline: bool, as_json: bool) -> None:
    """List what runs in which version, with known advisories on its Python packages."""
    from streambed.artifacts import audit as parts

    sys.exit(0 if parts.show(offline=offline, as_json=as_json) else 1)


@click.command()
@click.option("--upgrade", is_flag=True, help="Take newer versions where the pins allow them.")
@options.engines
def lock(upgrade: bool, engines: tuple[str, ...]) -> None:
    """Make the lock files anew after a change of versions (for who changes Streambed).

    With --engine those of these training engines, and no others.
    """
    from streambed import artifacts as cache

    for name in engines:
        cache.relock_engine(name, upgrade=upgrade)
    if not engines:
        cache.relock(upgrade=upgrade)


@click.command()
@click.option("--yes", is_flag=True, help="Remove, do not only list.")
def clean(yes: bool) -> None:
    """List what is cached on this machine (downloads, environments, images), or remove it."""
    from streambed.beds import clean as cleaning

    cleaning.run(remove=yes)


COMMANDS = (doctor, test, artifacts, audit, clean, lock)
