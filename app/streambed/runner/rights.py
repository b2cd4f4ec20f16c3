"""Commands with root's rights on a node, by the way Ansible goes: the inventory's own user."""

import asyncio
import contextlib

from streambed.beds import ssh
from streambed.inventory import Node
from streambed.runner.failure import CellFailure

_OPTIONS = ("-o", "BatchMode=yes", "-o", "ConnectTimeout=10")


async def as_root(node: Node, script: str, *arguments: str, timeout_s: float = 60.0) -> str:
    """Run a shell script to its end; what it printed.

    Raises:
        CellFailure: it failed, or took too long.
    """
    rights: tuple[str, ...] = ()
    given = b""
    if node.user != "root":
        password = ssh.become_password(node)
        rights = ("sudo", "-n") if password is None else ("sudo", "-S", "-p", "")
        # By standard input: no list of processes shows it.
        given = b"" if password is None else f"{password}\n".encode()
    argv = ssh.argv(node, *rights, "sh", "-c", script, "sh", *arguments, options=_OPTIONS)
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(timeout_s):
            out, err = await process.communicate(given)
    except TimeoutError:
        raise CellFailure(
            f"{node.name}: a command as root took more than {timeout_s:g} s"
        ) from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    if process.returncode != 0:
        said = err.decode(errors="replace").strip()
        raise CellFailure(f"{node.name}: as root: {said or f'exit status {process.returncode}'}")
    return out.decode(errors="replace")
