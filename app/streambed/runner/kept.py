"""Something that runs on the bed for more than one cell, as long as cells ask for the same."""

import contextlib
from collections.abc import Callable, Hashable
from types import TracebackType
from typing import Any, Self, TypeVar

from streambed.console import warn
from streambed.runner.failure import CellFailure

T = TypeVar("T")


class Kept:
    """Holds one entered context: whoever asks for another one, or leaves this, ends it."""

    def __init__(self) -> None:
        self._stack = contextlib.AsyncExitStack()
        self._what: Hashable = None
        self._value: Any = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.end()

    def holds(self, what: Hashable) -> bool:
        """Whether it is what is kept now."""
        return self._value is not None and self._what == what

    async def get(
        self, what: Hashable, enter: Callable[[], contextlib.AbstractAsyncContextManager[T]]
    ) -> T:
        """What is kept under this name, entered now when it is not there.

        Raises:
            CellFailure: it does not start.
        """
        if not self.holds(what):
            await self.end()
            self._value = await self._stack.enter_async_context(enter())
            self._what = what
        value: T = self._value
        return value

    async def end(self) -> None:
        """End what is kept, if anything is; that it does not end well is told."""
        try:
            await self.drop()
        except CellFailure as failure:
            # The cells that used it are over, and leaving its context has ended it.
            warn(f"what cells shared did not end well: {failure}")

    async def drop(self, because: BaseException | None = None) -> None:
        """End what is kept, if anything is; `because` of an error it is not asked to end well."""
        stack, self._stack = self._stack, contextlib.AsyncExitStack()
        self._what = self._value = None
        if because is None:
            await stack.aclose()
        else:
            await stack.__aexit__(type(because), because, because.__traceback__)
