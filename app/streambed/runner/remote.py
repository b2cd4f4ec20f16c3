"""SSH to the nodes of a bed, by the settings of its inventory, as the run user."""

import asyncio
import contextlib
import re
import shlex
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh

from streambed.inventory import Inventory, Node
from streambed.runner.failure import BedFailure, CellFailure

RUN_USER = "streambed"
CONNECT_TIMEOUT_S = 15.0
# A node that answers nothing for this long (3 x 5 s) is lost, and so is what ran through it.
KEEPALIVE_S = 5.0
KEEPALIVE_MISSES = 3
RECONNECT_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Completed:
    """A finished command."""

    status: int
    stdout: str
    stderr: str


class Session:
    """One SSH connection to one node."""

    def __init__(self, node: Node, connection: asyncssh.SSHClientConnection) -> None:
        self.node = node
        self._connection = connection

    async def run(
        self, argv: Sequence[str], *, timeout_s: float = 60.0, check: bool = True
    ) -> Completed:
        """Run a command to its end.

        Raises:
            CellFailure: it took too long, or (with `check`) its exit status was not 0.
            BedFailure: the node did not answer.
        """
        command = shlex.join(argv)
        try:
            async with asyncio.timeout(timeout_s):
                done = await self._connection.run(command, stdin=asyncssh.DEVNULL, encoding="utf-8")
        except TimeoutError:
            raise CellFailure(
                f"{self.node.name}: `{command}` took more than {timeout_s:g} s"
            ) from None
        except (OSError, asyncssh.Error) as error:
            raise BedFailure(f"{self.node.name}: `{command}`: {error}") from error
        if done.exit_status is None and done.exit_signal is None:
            raise BedFailure(f"{self.node.name}: connection lost during `{command}`")
        completed = Completed(
            status=-1 if done.exit_status is None else done.exit_status,
            stdout=str(done.stdout or ""),
            stderr=str(done.stderr or ""),
        )
        if check and completed.status != 0:
            said = completed.stderr.strip() or completed.stdout.strip()
            raise CellFailure(
                f"{self.node.name}: `{command}` ended with status {completed.status}: {said}"
            )
        return completed

    async def start(self, argv: Sequence[str]) -> "asyncssh.SSHClientProcess[str]":
        """Start a command whose streams the caller reads; it ends when the connection does."""
        try:
            return await self._connection.create_process(shlex.join(argv), encoding="utf-8")
        except (OSError, asyncssh.Error) as error:
            raise BedFailure(f"{self.node.name}: `{shlex.join(argv)}`: {error}") from error

    async def put(self, source: Path, target: str) -> None:
        """Copy a file to the node, under a temporary name first: never seen half written."""
        await self.run(["mkdir", "-p", str(Path(target).parent)])
        try:
            async with self._connection.start_sftp_client() as sftp:
                await sftp.put(str(source), f"{target}.part")
                await sftp.posix_rename(f"{target}.part", target)
        except (OSError, asyncssh.Error) as error:
            raise BedFailure(f"{self.node.name}: copying {source} to {target}: {error}") from error

    async def get(self, source: str, target: Path) -> None:
        """Copy a file from the node, under a temporary name first."""
        part = target.with_name(target.name + ".part")
        try:
            async with self._connection.start_sftp_client() as sftp:
                await sftp.get(source, str(part))
        except (OSError, asyncssh.Error) as error:
            part.unlink(missing_ok=True)
            raise BedFailure(f"{self.node.name}: copying {source} from it: {error}") from error
        part.replace(target)


class Fleet:
    """Connections to all nodes of a bed."""

    def __init__(self, inventory: Inventory, sessions: dict[str, Session]) -> None:
        self.inventory = inventory
        self._sessions = sessions
        self._later = contextlib.AsyncExitStack()

    async def reconnect(self, node: Node) -> None:
        """A new connection to a node that was away, as soon as it lets us in again.

        Raises:
            BedFailure: it does not within a minute.
        """
        deadline = time.monotonic() + RECONNECT_TIMEOUT_S
        while True:
            try:
                connection = await _connect(node)
            except BedFailure:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.5)
            else:
                self._later.callback(connection.close)
                self._sessions[node.name] = Session(node, connection)
                return

    async def close(self) -> None:
        """Close the connections that `reconnect` made."""
        await self._later.aclose()

    def on(self, node: Node) -> Session:
        """The connection to a node."""
        return self._sessions[node.name]

    def all(self) -> tuple[Session, ...]:
        """The connections to all nodes, in the inventory's order."""
        return tuple(self._sessions[node.name] for node in self.inventory.nodes)


def proxy_words(node: Node, command: str) -> list[str]:
    """A ProxyCommand with ssh's tokens replaced: host, port, user, and the percent sign itself."""
    tokens = {"%h": node.address, "%p": str(node.port), "%r": RUN_USER, "%%": "%"}
    return [
        re.sub("%[hpr%]", lambda found: tokens[found.group()], word)
        for word in shlex.split(command)
    ]


def _is_lab(node: Node) -> bool:
    """Is it a machine of somebody else, which a key of the user's own opens?"""
    return bool(node.variables.get("bed_provider", "static") == "static")


def _agent_options(node: Node, key_file: Path) -> dict[str, Any]:
    """A key of the user's may have a passphrase, so that only ssh-agent can use it.

    The agent is asked for this key alone, since servers end a login after a few wrong ones.
    """
    if not _is_lab(node):
        return {"agent_path": None}
    public = key_file.with_name(f"{key_file.name}.pub")
    asked = {"agent_identities": [str(public)]} if public.exists() else {}
    return {"ignore_encrypted": True, **asked}


async def _connect(node: Node) -> asyncssh.SSHClientConnection:
    options: dict[str, Any] = {
        "host": node.address,
        "port": node.port,
        "username": RUN_USER,
        "keepalive_interval": KEEPALIVE_S,
        "keepalive_count_max": KEEPALIVE_MISSES,
        "connect_timeout": CONNECT_TIMEOUT_S,
    }
    if node.key_file is not None:
        # The inventory's key and nothing else of the user's: no ~/.ssh/config.
        options |= {"client_keys": [str(node.key_file)], "config": None}
        options |= _agent_options(node, node.key_file)
    if node.known_hosts is not None:
        options["known_hosts"] = str(node.known_hosts)
    if node.proxy_jump is not None:
        # The jump host is the user's own business: it may have a name in ~/.ssh/config.
        options.pop("config", None)
        options["tunnel"] = node.proxy_jump
    elif node.proxy_command is not None:
        options["proxy_command"] = proxy_words(node, node.proxy_command)
    try:
        return await asyncssh.connect(**options)
    except (OSError, asyncssh.Error, asyncssh.KeyImportError, TimeoutError) as error:
        reason = str(error) or type(error).__name__
        if isinstance(error, asyncssh.PermissionDenied) and node.key_file and _is_lab(node):
            reason += f" (a key with a passphrase has to be in ssh-agent: ssh-add {node.key_file})"
        raise BedFailure(
            f"{node.name} ({node.address}:{node.port}) refuses {RUN_USER!r} over SSH: {reason}"
        ) from error


@contextlib.asynccontextmanager
async def connect(inventory: Inventory) -> AsyncIterator[Fleet]:
    """Connect to all nodes at once; all connections are closed at the end.

    Raises:
        BedFailure: a node does not answer; the message names it.
    """
    results = await asyncio.gather(
        *(_connect(node) for node in inventory.nodes), return_exceptions=True
    )
    connections = [c for c in results if isinstance(c, asyncssh.SSHClientConnection)]
    try:
        for result in results:
            if isinstance(result, BaseException):
                raise result
        sessions = {
            node.name: Session(node, connection)
            for node, connection in zip(inventory.nodes, connections, strict=True)
        }
        fleet = Fleet(inventory, sessions)
        try:
            yield fleet
        finally:
            await fleet.close()
    finally:
        for connection in connections:
            connection.close()
        closing = (connection.wait_closed() for connection in connections)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.gather(*closing, return_exceptions=True)
