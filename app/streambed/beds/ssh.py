"""Reaching a node over SSH, exactly as the inventory says."""

import functools
import os
import shlex
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from streambed.errors import StreambedError
from streambed.inventory import Inventory, Node
from streambed.waiting import wait_until


def argv(node: Node, *command: str, options: tuple[str, ...] = ()) -> list[str]:
    """An ssh call for a node; with no command, an interactive shell.

    The remote side's shell parses the command again, so it is quoted here.
    """
    variables = node.variables
    words = ["ssh", *options]
    for name in ("ansible_ssh_common_args", "ansible_ssh_extra_args"):
        words += shlex.split(str(variables.get(name) or ""))
    if node.key_file is not None:
        words += ["-i", str(node.key_file)]
    words += ["-p", str(node.port), f"{node.user}@{node.address}"]
    return [*words, shlex.join(command)] if command else words


def become_password(node: Node) -> str | None:
    """The password that Ansible would give sudo: of the inventory, or of the file it is told of."""
    for name in ("ansible_become_password", "ansible_become_pass"):
        if given := node.variables.get(name):
            return str(given)
    file = os.environ.get("ANSIBLE_BECOME_PASSWORD_FILE")
    return Path(file).read_text().strip() if file else None


def wait_for_all(inventory: Inventory, *, timeout_s: float = 60.0) -> None:
    """Wait until every node answers a real login; all are asked at once.

    Raises:
        StreambedError: names the node that did not, with ssh's last words; at once when a machine
            of a lab refuses the login itself.
    """
    with ThreadPoolExecutor(max_workers=len(inventory.nodes)) as pool:
        made_here = inventory.provider != "static"
        wait = functools.partial(_wait_for, timeout_s=timeout_s, made_here=made_here)
        for answer in [pool.submit(wait, node) for node in inventory.nodes]:
            answer.result()


def answering(inventory: Inventory) -> dict[str, bool]:
    """Which nodes let us in now; all are asked at once, for 5 s at most."""
    with ThreadPoolExecutor(max_workers=len(inventory.nodes)) as pool:
        refused = list(pool.map(_refusal, inventory.nodes))
    return {node.name: words is None for node, words in zip(inventory.nodes, refused, strict=True)}


def _refusal(node: Node) -> str | None:
    """Why a login fails, in ssh's last words; None when it does not."""
    done = subprocess.run(
        argv(node, "true", options=("-o", "BatchMode=yes", "-o", "ConnectTimeout=5")),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return None
    return (done.stderr.strip().splitlines() or ["it said nothing"])[-1]


_FINAL = ("Permission denied", "Host key verification failed")
"""What a machine that is up says to a wrong login: asked again and again, it may lock us out."""


def _wait_for(node: Node, timeout_s: float, *, made_here: bool) -> None:
    last: str | None = None

    def is_final() -> bool:
        return not made_here and any(words in (last or "") for words in _FINAL)

    def answers() -> bool:
        nonlocal last
        last = _refusal(node)
        return last is None or is_final()

    try:
        wait_until(answers, timeout_s=timeout_s, what="sshd", interval_s=0.2)
    except StreambedError as error:
        raise StreambedError(
            f"node {node.name} ({node.address}) does not answer over SSH "
            f"after {timeout_s:g} s: {last}",
            hint=error.hint or "./streambed status",
        ) from error
    if is_final():
        raise StreambedError(
            f"node {node.name} ({node.address}) refuses {node.user!r} over SSH: {last}",
            hint=f"log in once by hand: {shlex.join(argv(node))}",
        )
