"""`clock`: this node's time, whenever it is asked for, and what its NTP client vouches for."""

import contextlib
import subprocess
import time
from dataclasses import dataclass
from typing import Any

from streambed.pipelines import cgroup
from streambed.pipelines.protocol import Commands, emit
from streambed.pipelines.spec import parse

_CHRONY_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class ClockSpec:
    """Nothing is to be said."""


def program(raw: dict[str, Any], commands: Commands) -> None:
    """Run `clock`: events ready, time ... (one for each `tell`, with its `number`), done."""
    parse(ClockSpec, raw)
    emit(
        "ready",
        at=time.time(),
        boot_id=cgroup.read("/proc/sys/kernel/random/boot_id"),
        chrony_bound_s=chrony_bound_s(_tracking()),
    )
    while (asked := commands.take())["command"] == "tell":
        emit("time", at=time.time(), number=asked["number"])
    emit("done", at=time.time())


def _tracking() -> str:
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        return subprocess.run(
            ["chronyc", "-c", "tracking"],
            capture_output=True,
            text=True,
            timeout=_CHRONY_TIMEOUT_S,
            check=True,
        ).stdout
    return ""


def chrony_bound_s(tracking: str) -> float | None:
    """How far the clock may be off true time, seconds; None where chrony does not vouch for it.

    Offset, half the root delay and the root dispersion, of `chronyc -c tracking`: the fields count
    from the end, since newer versions have one more in front.
    """
    fields = tracking.strip().split(",")
    if len(fields) < 13 or fields[-1] != "Normal":
        return None
    offset, delay, dispersion = (float(fields[index]) for index in (-10, -4, -3))
    return abs(offset) + delay / 2 + dispersion
