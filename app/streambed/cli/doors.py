"""The other doors: what the Vagrantfile asks, and the bundle for a lab without internet."""

import json
from pathlib import Path

import click

from streambed.cli import options


@click.group()
def vagrant() -> None:
    """What the Vagrantfile asks; to use it, run `vagrant up`."""


@vagrant.command()
@options.inventory
def describe(inventory_path: str) -> None:
    """Print the machines of a bed as JSON; touches nothing."""
    from streambed import inventory
    from streambed.beds import vagrant as door

    click.echo(json.dumps(door.describe(inventory.load(inventory_path))))


@vagrant.command()
@options.inventory
@click.option("--provider", required=True, help="Vagrant's provider.")
@click.option("--new", multiple=True, metavar="NODE", help="A node that is not made yet.")
def prepare(inventory_path: str, provider: str, new: tuple[str, ...]) -> None:
    """Make what machines need before they are made: image, network, keys, files."""
    from streambed import inventory
    from streambed.beds import vagrant as door

    door.prepare(inventory.load(inventory_path), provider, new)


@vagrant.command()
@options.inventory
def release(inventory_path: str) -> None:
    """Remove what is left of a bed whose last machine is destroyed."""
    from streambed import inventory
    from streambed.beds import vagrant as door

    door.release(inventory.load(inventory_path))


@click.command()
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    help="The file to write  [default: streambed-VERSION-COMMIT.tar here]",
)
@options.engines
def bundle(output: Path | None, engines: tuple[str, ...]) -> None:
    """Pack everything that a lab without internet needs into one file."""
    from streambed import bundle as bundles

    bundles.build(output, engines)


COMMANDS = (vagrant, bundle)
