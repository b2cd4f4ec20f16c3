"""Can this host hold the bed at all: the doctor's questions that decide it, before any work."""

import shutil
from pathlib import Path

from streambed.errors import StreambedError
from streambed.host import containers, kernel, root
from streambed.host.finding import Finding, State
from streambed.quantities import format_size

# An unpacked base image, a baked image, its layers on their way into the store; then the
# nodes' own writes (Kafka's logs of a few million images).
_IMAGES_BYTES = 8 * 2**30
_NODES_BYTES = 2 * 2**30


def check(*, image_is_there: bool) -> None:
    """Ask for podman, its runtime, the kernel's abilities and disk space (0.3 s).

    Raises:
        StreambedError: names everything that is missing, with what mends it.
    """
    findings = [containers.podman_answers(), containers.runtime(), containers.loop_devices()]
    answers = kernel.parse_answers(root.run_script(kernel.render_script(kernel.FEATURES)).stdout)
    findings += kernel.judge(kernel.FEATURES, answers)
    missing = [finding for finding in findings if finding.state is State.MISSING]
    if missing:
        raise StreambedError(
            "this host cannot hold a bed yet\n" + "\n".join(_line(one) for one in missing),
            hint="./streambed doctor tells all of it",
        )
    check_disk(_nearest(containers.STORAGE), _NODES_BYTES if image_is_there else _IMAGES_BYTES)


def check_disk(directory: Path, needed_bytes: int) -> None:
    """Refuse a disk that would be full half-way."""
    free = shutil.disk_usage(directory).free
    if free < needed_bytes:
        raise StreambedError(
            f"{directory} has {format_size(free)} free, {format_size(needed_bytes)} are needed",
            hint="./streambed clean lists what can go",
        )


def _line(finding: Finding) -> str:
    return f"{finding.name}: {finding.found}; {finding.mend}"


def _nearest(directory: Path) -> Path:
    """The directory, or the part of its path that is there already."""
    while not directory.exists():
        directory = directory.parent
    return directory
