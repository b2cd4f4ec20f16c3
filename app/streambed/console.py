"""The two consoles: answers go to `out`, everything said on the way goes to `err`."""

from rich.console import Console
from rich.theme import Theme

_THEME = Theme({"step": "bold cyan", "warn": "yellow", "fail": "bold red", "good": "green"})

out = Console(theme=_THEME, highlight=False, soft_wrap=True)
err = Console(theme=_THEME, highlight=False, soft_wrap=True, stderr=True)


def step(message: str) -> None:
    """Announce a stage of the work."""
    err.print(f"[step]==>[/step] {message}")


def say(message: str) -> None:
    """Tell a detail of the stage under way."""
    err.print(f"    {message}")


def warn(message: str) -> None:
    """Tell something that does not stop the work but that the user should know."""
    err.print(f"[warn]warning:[/warn] {message}")
