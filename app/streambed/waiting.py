"""One way to wait: for a condition, with a deadline and a message that names it."""

import time
from collections.abc import Callable
from typing import TypeVar

from streambed.errors import StreambedError

T = TypeVar("T")


def wait_until(
    condition: Callable[[], T | None],
    *,
    timeout_s: float,
    what: str,
    interval_s: float = 0.1,
    hint: str = "",
) -> T:
    """Poll `condition` until it returns something true.

    Args:
        condition: called at once and then every `interval_s` seconds.
        timeout_s: seconds after which waiting is given up.
        what: the thing waited for, as it stands in the error.

    Returns:
        The first true value.

    Raises:
        StreambedError: the deadline passed.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise StreambedError(f"waited {timeout_s:g} s in vain for {what}", hint=hint)
        time.sleep(interval_s)
