"""A node program under way: its spec goes in, its JSON lines come out."""

import asyncio
import collections
import contextlib
import json
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

import asyncssh

from streambed.runner.failure import BedFailure, CellFailure
from streambed.runner.remote import Session

APP = "/opt/streambed/app"
PYTHON = "/opt/streambed/venv/bin/python"
Event = dict[str, Any]

_STDERR_LINES = 15
_STOP_TIMEOUT_S = 10.0


class Program:
    """`python -m streambed.pipelines NAME` on a node, ended when this context is left.

    The program watches its standard input: when the connection or the controller dies, it and
    its children end by themselves, so nothing is left behind on the node.
    """

    def __init__(
        self,
        session: Session,
        name: str,
        spec: Mapping[str, Any],
        on_event: Callable[[Event], None] | None = None,
    ) -> None:
        self.name = name
        self.events: list[Event] = []
        self._session = session
        self._spec = dict(spec)
        self._on_event = on_event
        self._changed = asyncio.Event()
        self._stderr: collections.deque[str] = collections.deque(maxlen=_STDERR_LINES)
        self._process: asyncssh.SSHClientProcess[str] | None = None
        self._readers: list[asyncio.Task[None]] = []
        self._ended = False

    @property
    def place(self) -> str:
        """`classify on cloud`, for messages."""
        return f"{self.name} on {self._session.node.name}"

    async def __aenter__(self) -> Self:
        self._process = await self._session.start(
            [
                *(
                    "env",
                    f"PYTHONPATH={APP}",
                    "SPARK_HOME=/opt/spark",
                    "OMP_NUM_THREADS=1",
                ),
                *(PYTHON, "-m", "streambed.pipelines", self.name),
            ]
        )
        self._readers = [
            asyncio.create_task(self._read_events(self._process)),
            asyncio.create_task(self._read_errors(self._process)),
        ]
        self._write(self._spec)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        process = self._process
        if process is None:
            return
        if not self._ended:
            with contextlib.suppress(OSError, asyncssh.Error):
                process.stdin.write_eof()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STOP_TIMEOUT_S):
                    await asyncio.gather(*self._readers, return_exceptions=True)
        process.close()
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)

    def _write(self, message: Mapping[str, Any]) -> None:
        assert self._process is not None
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
        except (OSError, asyncssh.Error) as error:
            raise BedFailure(f"{self.place}: the connection is gone: {error}") from error

    async def _read_events(self, process: "asyncssh.SSHClientProcess[str]") -> None:
        try:
            async for line in process.stdout:
                try:
                    event = json.loads(line)
                except ValueError:
                    self._stderr.append(line.rstrip())  # not ours: a library that prints
                    continue
                self.events.append(event)
                if self._on_event is not None:
                    self._on_event(event)
                self._changed.set()
        except (OSError, asyncssh.Error) as error:
            self._stderr.append(f"connection lost: {error}")
        finally:
            self._ended = True
            self._changed.set()

    async def _read_errors(self, process: "asyncssh.SSHClientProcess[str]") -> None:
        with contextlib.suppress(OSError, asyncssh.Error):
            async for line in process.stderr:
                self._stderr.append(line.rstrip())

    def command(self, command: str, **fields: Any) -> None:
        """Send a command line, such as `stop` or `finish`, with what else it needs."""
        self._write({"command": command, **fields})

    def last(self, kind: str) -> Event | None:
        """The newest event of a kind that came so far."""
        return next((e for e in reversed(self.events) if e.get("event") == kind), None)

    async def until(self, kind: str, *, timeout_s: float) -> Event:
        """Wait for the first event of a kind.

        Raises:
            CellFailure: the program ended before, or the time is over; with what it said.
        """
        return await self.until_true(
            lambda: next((e for e in self.events if e.get("event") == kind), None),
            what=f"`{kind}`",
            timeout_s=timeout_s,
        )

    async def until_true(
        self, condition: Callable[[], Event | None], *, what: str, timeout_s: float
    ) -> Event:
        """Wait until `condition`, looked at after every event, returns an event."""
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    self._changed.clear()
                    if (found := condition()) is not None:
                        return found
                    if self._ended:
                        raise CellFailure(await self._post_mortem(f"ended before {what}"))
                    await self._changed.wait()
        except TimeoutError:
            raise CellFailure(
                await self._post_mortem(f"did not say {what} within {timeout_s:g} s")
            ) from None

    async def ended(self) -> str:
        """Wait until the program ends, whyever; returns how, in words."""
        while not self._ended:
            self._changed.clear()
            await self._changed.wait()
        return await self._post_mortem("ended early")

    async def end(self, *, timeout_s: float) -> None:
        """Wait for the program's own end.

        Raises:
            CellFailure: it failed or does not end.
        """
        assert self._process is not None
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.gather(*self._readers)
                await self._process.wait_closed()
        except TimeoutError:
            raise CellFailure(
                await self._post_mortem(f"did not end within {timeout_s:g} s")
            ) from None
        if self._process.exit_status != 0:
            raise CellFailure(await self._post_mortem("failed"))

    async def _post_mortem(self, what: str) -> str:
        process = self._process
        if self._ended and process is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await asyncio.gather(*self._readers, return_exceptions=True)
                    await process.wait_closed()
            signal = process.exit_signal
            end = f"signal {signal[0]}" if signal else f"exit status {process.exit_status}"
            what = f"{what} ({end})"
        failed = self.last("failed")
        if failed is not None:
            return f"{self.place} {what}: {failed['reason']}"
        said = "\n".join(self._stderr)
        return f"{self.place} {what}" + (f"; it said:\n{said}" if said else "")
