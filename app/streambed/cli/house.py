"""The project's own keeping: doctor, test, artifacts, clean."""

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
def test(quick: bool) -> None:
    """Run all checks of the project; the last line is `N passed, N failed`."""
    from streambed import checks

    tally = checks.run(quick=quick)
    out.print(tally.line())
    sys.exit(1 if tally.failed or not tally.passed else 0)


@click.command()
@options.as_json
def artifacts(as_json: bool) -> None:
    """Fetch what the nodes need into the cache, verify it and list it."""
    from streambed import artifacts as cache

    cache.show(as_json=as_json)


@click.command()
@click.option("--upgrade", is_flag=True, help="Take newer versions where the pins allow them.")
def lock(upgrade: bool) -> None:
    """Make the lock files anew after a change of versions (for who changes Streambed)."""
    from streambed import artifacts as cache

    cache.relock(upgrade=upgrade)


@click.command()
@click.option("--yes", is_flag=True, help="Remove, do not only list.")
def clean(yes: bool) -> None:
    """List what is cached on this machine (downloads, environments, images), or remove it."""
    from streambed.beds import clean as cleaning

    cleaning.run(remove=yes)


COMMANDS = (doctor, test, artifacts, clean, lock)
