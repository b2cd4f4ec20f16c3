"""Ends a rank that nobody waits for any more, or that waits for one that is lost.

A collective call waits for every rank, for ever, and cannot be given a deadline from inside.
"""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Self

_LOOK_S = 1.0
_FAREWELL_S = 2.0
_STATUS = 75  # EX_TEMPFAIL


class Watchdog:
    """Watches from a thread, as long as it is entered; what ends here is the whole process."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self.farewell: Callable[[str], None] | None = None
        """Told why, before the end; it need not return."""
        self._moved_at = time.monotonic()
        self._parent = os.getppid()
        self._over = threading.Event()

    def __enter__(self) -> Self:
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def moved(self, limit_s: float | None = None) -> None:
        """Something was done; the next thing may take `limit_s`, from now on."""
        self._moved_at = time.monotonic()
        if limit_s is not None:
            self.limit_s = limit_s

    def reason(self) -> str | None:
        """Why this process should end."""
        if os.getppid() != self._parent:
            return "whoever started this rank is gone"
        still_s = time.monotonic() - self._moved_at
        if still_s > self.limit_s:
            return f"nothing moved for {still_s:.0f} s: another rank is lost, or the network"
        return None

    def _watch(self) -> None:
        while not self._over.wait(_LOOK_S):
            if reason := self.reason():
                # Whoever would read it may be gone, and the pipe with it.
                with contextlib.suppress(OSError):
                    sys.stderr.write(f"rank ended: {reason}\n")
                    sys.stderr.flush()
                self._say_farewell(reason)
                os._exit(_STATUS)

    def _say_farewell(self, reason: str) -> None:
        farewell = self.farewell
        if farewell is None:
            return

        def say() -> None:
            with contextlib.suppress(OSError):
                farewell(reason)

        # Whoever it is told may not listen any more.
        saying = threading.Thread(target=say, name="farewell", daemon=True)
        saying.start()
        saying.join(_FAREWELL_S)
