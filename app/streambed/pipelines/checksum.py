"""Which checksum kafka-python uses: that of its crc32c extra, or its own in pure Python."""

import sys
from typing import Any


def without_extra() -> None:
    """kafka-python as without its extra; must be said before the library is imported."""
    modules: dict[str, Any] = sys.modules
    # An import of it now fails, as if it were not installed.
    modules["crc32c"] = None


def client() -> str:
    """Name, version and checksum of the library as it is: `kafka-python 3.0.12 (crc32c)`.

    Without the extra its name here is `kafka-python-plain`, whatever was asked for.
    """
    import kafka
    from kafka.record import util

    # What a record batch calls.
    extra = util._crc32c is util.crc32c_c  # noqa: SLF001
    name = "kafka-python" if extra else "kafka-python-plain"
    return f"{name} {kafka.__version__} ({'crc32c' if extra else 'checksum in pure Python'})"
