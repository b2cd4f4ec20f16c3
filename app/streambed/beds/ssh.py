"""Reaching a node over SSH, exactly as the inventory says."""

import shlex
import subprocess
from concurrent.futures import ThreadPoolExecutor

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


def wait_for_all(inventory: Inventory, *, timeout_s: float = 60.0) -> None:
    """Wait until every node answers a real login; all are asked at once.

    Raises:
        StreambedError: names the node that did not, with ssh's last words.
    """
    with ThreadPoolExecutor(max_workers=len(inventory.nodes)) as pool:
        for answer in [pool.submit(_wait_for, node, timeout_s) for node in inventory.nodes]:
            answer.result()


def _wait_for(node: Node, timeout_s: float) -> None:
    last = ""

    def answers() -> bool:
        nonlocal last
        done = subprocess.run(
            argv(node, "true", options=("-o", "BatchMode=yes", "-o", "ConnectTimeout=5")),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        last = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else ""
        return done.returncode == 0

    try:
        wait_until(answers, timeout_s=timeout_s, what="sshd", interval_s=0.2)
    except StreambedError as error:
        raise StreambedError(
            f"node {node.name} ({node.address}) does not answer over SSH "
            f"after {timeout_s:g} s: {last}",
            hint=error.hint or "./streambed status",
        ) from error
