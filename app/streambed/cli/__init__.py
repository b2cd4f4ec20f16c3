"""The command line: each command parses, calls one function, and says what to do next."""

import errno
import os
import sys

import click
from rich.markup import escape

from streambed import __version__
from streambed.cli import bed, demo, doors, experiment, house
from streambed.console import err
from streambed.errors import StreambedError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="streambed")
def app() -> None:
    """How many images a second can be classified behind this link, and what is in the way?"""


for room in (demo, bed, experiment, doors, house):
    for command in room.COMMANDS:
        app.add_command(command)


def _leave_broken_pipe() -> None:
    """The reader of our output went away (`| head`): that is no error of ours."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(0)


def main() -> None:
    """Run the command line; a user's mistake ends in a message, never in a stack trace."""
    try:
        sys.exit(app.main(prog_name="streambed", standalone_mode=False) or 0)
    except StreambedError as error:
        err.print(f"[fail]error:[/fail] {escape(error.message)}")
        if error.hint:
            err.print(f"       {escape(error.hint)}")
        sys.exit(error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        err.print("[fail]interrupted[/fail]: what was finished is kept")
        sys.exit(130)
    except OSError as error:
        if error.errno == errno.EPIPE:
            _leave_broken_pipe()
        if error.strerror is None:
            raise
        what = f"{error.filename}: " if error.filename else ""
        err.print(f"[fail]error:[/fail] {escape(what)}{error.strerror}")
        sys.exit(1)
