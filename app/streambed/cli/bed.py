"""A bed's life: up, verify, status, ssh, down."""

import os
import sys

import click

from streambed.cli import options


@click.command()
@options.inventory
@click.option(
    "--engines",
    metavar="A,B",
    help="Training engines that the workers are to have from now on (chainermn, torch), or none.",
)
def up(inventory_path: str, engines: str | None) -> None:
    """Create, provision and verify a bed; goes on where an earlier `up` stopped."""
    from streambed import inventory
    from streambed.beds import engines as extras
    from streambed.beds import lifecycle

    bed = inventory.load(inventory_path)
    if engines is not None:
        extras.ask(bed, extras.parse(engines))
    lifecycle.up(bed)


@click.command()
@options.inventory
def verify(inventory_path: str) -> None:
    """Check every node of a bed over SSH: users, units, listeners, versions, limits, link."""
    from streambed import inventory
    from streambed.beds import lifecycle

    lifecycle.verify(inventory.load(inventory_path))


@click.command()
@options.inventory
@options.as_json
def status(inventory_path: str, as_json: bool) -> None:
    """Show each node of a bed and what it does now."""
    from streambed import inventory
    from streambed.beds import lifecycle

    lifecycle.show_status(inventory.load(inventory_path), as_json=as_json)


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("node")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@options.inventory
def ssh(node: str, command: tuple[str, ...], inventory_path: str) -> None:
    """Open a shell on NODE, or run COMMAND there."""
    from streambed import inventory
    from streambed.beds import lifecycle

    argv = lifecycle.ssh_argv(inventory.load(inventory_path), node, command)
    sys.stdout.flush()
    os.execvp(argv[0], argv)


@click.command()
@options.inventory
def down(inventory_path: str) -> None:
    """Remove a bed: no container, network, link or process stays."""
    from streambed import inventory
    from streambed.beds import lifecycle

    lifecycle.down(inventory.load(inventory_path))


COMMANDS = (up, verify, status, ssh, down)
