"""Podman and what it stands on: its runtime, its storage, loop devices, free subnets."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from streambed.beds import network, podman
from streambed.beds.names import names_of
from streambed.errors import StreambedError
from streambed.host import root
from streambed.host.capacity import DEFAULT_BED
from streambed.host.finding import Finding, State
from streambed.inventory import Inventory

STORAGE = Path("/var/lib/containers")

# Mounted for real, in a mount namespace that takes it away whatever happens.
_OVERLAY_SCRIPT = f"""\
set -eu
mkdir -p {STORAGE}
d=$(mktemp -d {STORAGE}/streambed-doctor.XXXXXX)
trap 'rm -rf "$d"' EXIT
mkdir "$d/lower" "$d/upper" "$d/work" "$d/merged"
unshare --mount mount -t overlay overlay \
    -o "lowerdir=$d/lower,upperdir=$d/upper,workdir=$d/work" "$d/merged"
"""


def podman_answers() -> Finding:
    """Podman, with our settings, by asking for something that opens its storage."""
    need = "podman 4.3 or later, as root"
    try:
        version = podman.call("info", "--format", "{{.Version.Version}}")
    except StreambedError as error:
        mend = error.hint or "podman info; its storage must be on ext4 or xfs"
        return Finding("podman", need, error.message, State.MISSING, mend)
    return judge_podman(version)


def judge_podman(version: str) -> Finding:
    """Whether this version of podman will do."""
    need = "podman 4.3 or later, as root"
    major, minor, *_ = (*version.split("."), "0", "0")
    numbers = (major, minor)
    good = all(n.isdigit() for n in numbers) and (int(major), int(minor)) >= (4, 3)
    if good:
        return Finding("podman", need, version, State.OK)
    return Finding("podman", need, version, State.MISSING, "use Debian 12 or later")


def runtime() -> Finding:
    """The runtime that starts nodes on every cgroup layout."""
    path = shutil.which("runc")
    if path is None:
        return Finding("runc", "runc", "not found", State.MISSING, "apt-get install runc")
    return Finding("runc", "runc", path, State.OK)


def overlay() -> Finding:
    """Overlay storage, by mounting one where podman keeps containers."""
    done = root.run_script(_OVERLAY_SCRIPT)
    need = f"overlay works in {STORAGE}"
    if done.returncode == 0:
        return Finding("storage", need, "works", State.OK)
    reason = (done.stderr.strip().splitlines() or ["refused"])[-1]
    return Finding(
        "storage",
        need,
        reason,
        State.MISSING,
        f"modprobe overlay; {STORAGE} must be on ext4 or xfs, not on an overlay itself",
    )


def loop_devices() -> Finding:
    """Each broker's disk is a file on a loop device."""
    done = root.run_script("losetup --find")
    need = "a free loop device"
    if done.returncode == 0:
        return Finding("loop", need, done.stdout.strip(), State.OK)
    return Finding("loop", need, done.stderr.strip(), State.MISSING, "modprobe loop")


def subnets(beds: Sequence[Inventory]) -> list[Finding]:
    """Whether each bed's subnet is free, or held by that very bed; only the default bed's must."""
    findings = []
    for bed in beds:
        name, need = f"subnet of {bed.name}", f"{bed.subnet} is free"
        try:
            held = network.held_subnets(names_of(bed.name))
            network.check_free(network.parse_subnet(bed.subnet), held)
        except StreambedError as error:
            state = State.MISSING if bed.name == DEFAULT_BED else State.NOTE
            findings.append(Finding(name, need, error.message, state, error.hint))
        else:
            findings.append(Finding(name, need, "free", State.OK))
    return findings


def image_bytes() -> int:
    """What Streambed's images take already."""
    images = podman.call_json("images", "--format", "json")
    return sum(
        int(image["Size"])
        for image in images
        if any("/streambed" in name for name in image.get("Names") or ())
    )
