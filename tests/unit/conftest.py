"""What all unit tests share."""

import pytest

from streambed.beds import capacity


@pytest.fixture(autouse=True)
def host_of_two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a plan refuses does not depend on the machine that the tests run on."""
    host = capacity.Host(cores=2, memory_bytes=24 * 2**30)
    monkeypatch.setattr(capacity, "this_host", lambda: host)
