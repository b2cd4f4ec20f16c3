"""A cell that runs for long leaves nothing behind that grows."""

from collections.abc import Sequence

from streambed.gates.reading import Reading
from streambed.results.soak import Slope

_NEEDED = {"memory_bytes", "live_heap_bytes", "threads"}


def nothing_grows(slopes: Sequence[Slope]) -> Reading:
    """Memory, what is alive in JVMs, threads and open files of every group of processes, and of the
    bed as a whole.

    The lag has a gate of its own. Without one of the first three nothing is claimed; kernels before
    6.2 do not tell the files.

    Args:
        slopes: those of the bed, which have no node, and those of groups.
    """
    growing = [slope for slope in slopes if slope.grows]
    who = [
        f"{slope.measure} of {slope.group} on {slope.node} {slope.per_h:+.3g}, "
        f"{slope.rise:+.3g} in all"
        for slope in growing
        if slope.node is not None
    ]
    said = ", ".join(
        f"{slope.measure} {slope.per_h:+.3g}, {slope.high_per_h:+.3g} at most, of {slope.mean:.3g}"
        for slope in slopes
        if slope.node is None
    )
    return Reading(
        gate="nothing_grows",
        ok={slope.measure for slope in slopes} >= _NEEDED and not growing,
        measured=said + (f" ({'; '.join(who)})" if who else "") if said else "nothing sampled",
        expected="at most 5 % of a mean in an hour (of little 8 MiB, 2 threads, 4 files), or an "
        "interval that reaches there; in all no more than that, or 16 MiB, 4 threads, 8 files",
        unit="per h",
    )
