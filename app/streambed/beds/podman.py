"""The one place that calls podman: as root, with our own settings, never half interrupted."""

import functools
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from streambed.errors import StreambedError

SETTINGS = Path(__file__).with_name("containers.conf")

LIMITS = ("--ulimit=nofile=20000:20000", "--ulimit=nproc=20000:20000")
"""Of every container; podman's defaults are more than some hosts allow it to set."""


def as_root() -> list[str]:
    """The words that make a command run as root; none when the caller is."""
    return [] if os.geteuid() == 0 else ["sudo", "-n"]


def prefix() -> list[str]:
    """The words of a podman call before its arguments: root's rights and our settings."""
    return [*as_root(), "env", f"CONTAINERS_CONF={SETTINGS}", "podman"]


@functools.cache
def require() -> None:
    """Make sure that podman can be called at all.

    Raises:
        StreambedError: it is not installed, or root's rights cannot be had.
    """
    if shutil.which("podman") is None:
        raise StreambedError("podman is not installed", hint="./streambed doctor")
    if os.geteuid() == 0:
        return
    if shutil.which("sudo") is None:
        raise StreambedError("containers need root, and there is no sudo", hint="run it as root")
    # Asked for once, in the foreground; later calls run in parallel and must not ask.
    if subprocess.run(["sudo", "-v"], check=False).returncode != 0:
        raise StreambedError("containers need root, and sudo refused", hint="run it as root")


def run_uninterrupted(
    argv: Sequence[str], *, stdin: bytes | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run a short command to its end, Ctrl-C or not.

    In a process group of its own the terminal's Ctrl-C does not reach it, so that podman's
    store is never left with half an operation; the interrupt is raised afterwards.
    """
    process = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        process_group=0,
    )
    try:
        stdout, stderr = process.communicate(stdin)
    except KeyboardInterrupt:
        process.wait(timeout=60)
        raise
    return subprocess.CompletedProcess(argv, process.returncode, stdout, stderr)


def attempt(*arguments: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    """Call podman and hand back whatever came of it."""
    require()
    return run_uninterrupted([*prefix(), *arguments], stdin=stdin)


def call(*arguments: str, stdin: bytes | None = None) -> str:
    """Call podman.

    Returns:
        What it printed, stripped.

    Raises:
        StreambedError: it failed; the message carries podman's own last words.
    """
    done = attempt(*arguments, stdin=stdin)
    if done.returncode != 0:
        raise StreambedError(f"podman {arguments[0]} failed: {last_words(done.stderr)}")
    return done.stdout.decode(errors="replace").strip()


def call_json(*arguments: str) -> Any:
    """Call podman and parse its JSON; nothing printed counts as an empty list."""
    return json.loads(call(*arguments) or "[]") or []


def last_words(stderr: bytes) -> str:
    """The last line a command left on stderr, without podman's "Error: "."""
    lines = [line.strip() for line in stderr.decode(errors="replace").splitlines() if line.strip()]
    return lines[-1].removeprefix("Error: ") if lines else "it said nothing"
