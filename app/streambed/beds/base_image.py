"""The base image: a plain Debian 12 with systemd, sshd and every package a role installs."""

import hashlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml

from streambed import paths
from streambed.beds import apt_sources, locks, podman
from streambed.errors import StreambedError

REPOSITORY = "localhost/streambed-base"

# What makes a machine that Ansible can reach. Packages of the roles are the roles' own business:
# they are read from their defaults (`<role>_packages`), so that there is one list.
_MACHINE = (
    "ca-certificates",
    "dbus",
    "ethtool",
    "iproute2",
    "kmod",
    "libpam-systemd",
    "openssh-server",
    "procps",
    "python3",
    "python3-apt",
    "sudo",
    "systemd",
    "systemd-sysv",
)

# Never read on a node, and a tenth of its size.
_LEFT_OUT = (
    "/usr/share/doc/*",
    "/usr/share/info/*",
    "/usr/share/locale/*",
    "/usr/share/lintian/*",
)

# Nothing that belongs to one machine, and nothing about where packages came from.
_CLEANING = (
    'rm -f "$1"/etc/ssh/ssh_host_* "$1"/etc/apt/sources.list "$1"/etc/apt/sources.list.d/*',
    'rm -f "$1"/etc/apt/apt.conf.d/99mmdebstrap "$1"/etc/resolv.conf "$1"/etc/hostname',
    ': > "$1"/etc/machine-id; rm -f "$1"/var/lib/dbus/machine-id',
    'printf "127.0.0.1 localhost\\n" > "$1"/etc/hosts',
    'rm -rf "$1"/var/log/* "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/*',
)

# Timers that would wake up in the middle of a measurement, and units a container cannot run.
_MASKED = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "fstrim.timer",
    "motd-news.timer",
    "getty.target",
    "systemd-udevd.service",
    "systemd-udev-trigger.service",
    "systemd-modules-load.service",
)


def packages(roles: Path) -> tuple[str, ...]:
    """Every package of the image, sorted: the machine's and those of all roles' defaults."""
    wanted = set(_MACHINE)
    for defaults in sorted(roles.glob("*/defaults/main.yml")):
        variables = yaml.safe_load(defaults.read_text()) or {}
        wanted.update(variables.get(f"{defaults.parent.parent.name}_packages", []))
    return tuple(sorted(wanted))


def recipe(names: Sequence[str]) -> list[str]:
    """mmdebstrap's arguments, without where the packages come from."""
    masking = " ".join(f'"$1"/etc/systemd/system/{unit}' for unit in _MASKED)
    return [
        "--mode=root",
        "--variant=minbase",
        "--format=tar",
        f"--include={','.join(names)}",
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT),
        *(f"--customize-hook={command}" for command in _CLEANING),
        f'--customize-hook=for unit in {masking}; do ln -sf /dev/null "$unit"; done',
    ]


def tag(roles: Path) -> str:
    """The image's full name, from the hash of its recipe."""
    text = json.dumps([apt_sources.NODE_RELEASE, recipe(packages(roles))])
    return f"{REPOSITORY}:{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def ensure(say: Callable[[str], None]) -> str:
    """The base image's name; it is built first when podman does not have it (about a minute).

    Raises:
        StreambedError: mmdebstrap is missing or failed; its log is named.
    """
    name = tag(paths.ROOT / "roles")
    if exists(name):
        return name
    lock = paths.cache_dir() / "locks" / "base-image.lock"
    with locks.shared_work(lock, waiting=lambda who: say(f"base image: waiting for {who}")):
        if not exists(name):
            for leftover in _workshop().glob("base-*"):
                shutil.rmtree(leftover, ignore_errors=True)
            say(f"base image: installing Debian {apt_sources.NODE_RELEASE} (about a minute)")
            _build(name)
    return name


def exists(name: str) -> bool:
    """Does podman have an image of that name?"""
    return podman.attempt("image", "exists", name).returncode == 0


def _build(name: str) -> None:
    if shutil.which("mmdebstrap") is None:
        raise StreambedError("mmdebstrap is not installed", hint="./streambed doctor")
    podman.require()
    log = paths.cache_dir() / "log" / "base-image.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="base-", dir=_workshop()) as directory:
        # Through a file: a pipe would import what a failing mmdebstrap left unfinished.
        archive = Path(directory) / "root.tar"
        sources = Path(directory) / "nodes.list"
        sources.write_text("".join(f"{s.render()}\n" for s in apt_sources.of_this_host()))
        with log.open("wb") as stream:
            done = subprocess.run(
                [
                    *podman.as_root(),
                    "mmdebstrap",
                    *recipe(packages(paths.ROOT / "roles")),
                    *(f"--aptopt={option}" for option in _host_apt_options()),
                    apt_sources.NODE_RELEASE,
                    str(archive),
                    str(sources),
                ],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if done.returncode != 0:
            raise StreambedError(
                f"mmdebstrap failed: {_error_line(log)} (log: {log})",
                hint="are the package registries reachable? `apt-get update` tells",
            )
        podman.call("import", "--quiet", str(archive), name)


def _workshop() -> Path:
    directory = paths.cache_dir() / "work"
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def _error_line(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    errors = [line for line in lines if line.startswith("E:")]
    return (errors or lines or ["it said nothing"])[0]


def _host_apt_options() -> list[str]:
    """The host's way to its mirrors (proxies, tolerance of old indexes), for the build alone."""
    done = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False)
    return [line for line in done.stdout.splitlines() if _is_access_option(line)]


def _is_access_option(line: str) -> bool:
    name, _, value = line.partition(" ")
    return value not in ('"";', "") and (
        name.startswith(("Acquire::http::Proxy", "Acquire::https::"))
        or name in ("Acquire::Check-Valid-Until", "Acquire::Check-Date", "Acquire::ForceIPv4")
    )
