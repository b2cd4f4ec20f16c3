"""TCP's congestion control of containers: the bed's own, not that of whatever host this is.

A kernel lets a network namespace choose only what its administrator allowed to everyone: that is
its default and reno, so that on a host whose default is bbr no container could have cubic.
"""

from collections.abc import Iterable
from pathlib import Path

from streambed.errors import StreambedError
from streambed.host import root

SETTING = "net.ipv4.tcp_congestion_control"
ALLOWED = Path("/proc/sys/net/ipv4/tcp_allowed_congestion_control")
AVAILABLE = Path("/proc/sys/net/ipv4/tcp_available_congestion_control")


def allow(names: Iterable[str]) -> None:
    """Make sure that containers may have these; lasts until the host's reboot.

    Raises:
        StreambedError: the kernel has no such congestion control, or does not let us.
    """
    allowed = ALLOWED.read_text().split()
    lacking = sorted(set(names) - set(allowed))
    if not lacking:
        return
    done = root.run_script(f"echo {' '.join(allowed + lacking)} > {ALLOWED}")
    if done.returncode != 0:
        raise StreambedError(
            f"bed_tcp_congestion_control: this host's kernel does not allow {', '.join(lacking)} "
            f"to containers ({done.stderr.strip()}); it has {AVAILABLE.read_text().strip()}",
            hint="choose one of them in the inventory",
        )
