"""before.py ACTION REQUEST: what a lab machine was before Streambed, and back to it.

Runs on the machine, as root, standard library only. REQUEST is a JSON object; ACTION is one of
note        `sysctls`: names of kernel settings; values that are not recorded yet are.
installing  Debian packages that are there right before ours come are recorded.
packages    Those that have come since are recorded as ours. Where an installation was interrupted,
            since the start of the first one.
restore     `paths` (globs), `users`, `tables` (pairs for nft): all that is Streambed's. It is
            removed, what was recorded is put back; the record goes last, so that an interrupted
            one goes on.
Prints a JSON object: `changed`, and after a restore `kept`: packages that others need now.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

RECORD = Path("/var/lib/streambed-before/record.json")
UNITS = Path("/etc/systemd/system")
LINK_HELPER = Path("/usr/local/sbin/streambed-link")
LINK_STATE = Path("/var/lib/streambed-link/state.json")
SHARED = ("/tmp", "/var/tmp", "/dev/shm")
ENVIRONMENT = {
    **os.environ,
    "DEBIAN_FRONTEND": "noninteractive",
    "JAVA_TOOL_OPTIONS": "-XX:-UsePerfData",  # or Java's own scripts leave a directory in /tmp
    "LC_ALL": "C",
}
PROCESSES_END_S = 10


def run(*command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command, capture_output=True, env=ENVIRONMENT, encoding="utf-8", check=False
    )
    if check and done.returncode:
        said = done.stderr.strip() or done.stdout.strip()
        sys.exit(f"`{' '.join(command)}` ended with status {done.returncode}: {said}")
    return done


def load() -> dict[str, Any] | None:
    try:
        record: dict[str, Any] = json.loads(RECORD.read_text())
    except FileNotFoundError:
        return None
    return record


def save(record: dict[str, Any]) -> None:
    RECORD.parent.mkdir(mode=0o700, exist_ok=True)
    beside = RECORD.with_suffix(".new")
    beside.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
    beside.replace(RECORD)


def sysctl_path(name: str) -> Path:
    return Path("/proc/sys", name.replace(".", "/"))


def installed() -> set[str]:
    listing = run("dpkg-query", "-W", "-f", "${db:Status-Status} ${Package}\\n").stdout
    return {line.split()[1] for line in listing.splitlines() if line.startswith("installed ")}


def note(request: dict[str, Any]) -> dict[str, Any]:
    record = load()
    noted = record or {"at": time.time(), "sysctls": {}, "packages": []}
    lacking = {
        name: sysctl_path(name).read_text().split()
        for name in request["sysctls"]
        if name not in noted["sysctls"] and sysctl_path(name).exists()
    }
    noted["sysctls"].update(lacking)
    save(noted)
    return {"changed": record is None or bool(lacking)}


def installing(request: dict[str, Any]) -> dict[str, Any]:
    del request
    record = load_noted()
    record.setdefault("known", sorted(installed()))
    save(record)
    return {"changed": True}


def packages(request: dict[str, Any]) -> dict[str, Any]:
    del request
    record = load_noted()
    record["packages"] = sorted({*record["packages"], *installed() - set(record.pop("known"))})
    save(record)
    return {"changed": True}


def load_noted() -> dict[str, Any]:
    record = load()
    if record is None:
        sys.exit(f"{RECORD} is missing: packages came before the machine was noted")
    return record


def restore(request: dict[str, Any]) -> dict[str, Any]:
    found = [path for pattern in request["paths"] for path in matching(pattern)]
    record = load()
    if record is None:
        if found:
            names = ", ".join(map(str, found))
            sys.exit(f"{RECORD} is missing, so that nobody knows what the machine was: {names}")
        return {"changed": False, "kept": []}
    stop(found)
    for table in request["tables"]:
        if shutil.which("nft") and not run("nft", "list", "table", *table, check=False).returncode:
            run("nft", "delete", "table", *table)
    remove(found)
    for name, value in record["sysctls"].items():
        if sysctl_path(name).read_text().split() != value:
            sysctl_path(name).write_text(" ".join(value))
    for user in request["users"]:
        remove_user(user)
    # Of an installation that never ended, nothing that came was recorded.
    unfinished = installed() - set(record["known"]) if "known" in record else set()
    kept = purge({*record["packages"], *unfinished})
    shutil.rmtree(RECORD.parent)
    return {"changed": True, "kept": kept}


def matching(pattern: str) -> list[Path]:
    """Paths that are there, dangling links among them."""
    if "*" in pattern:
        return sorted(Path("/").glob(pattern.lstrip("/")))
    path = Path(pattern)
    return [path] if path.is_symlink() or path.exists() else []


def stop(found: list[Path]) -> None:
    """Stop our units, and end the link's shaping where its helper noted one.

    Without a note the interface is as it was, or somebody else has given it a discipline since.
    """
    units = [path.name for path in found if path.parent == UNITS and path.suffix == ".service"]
    if units:
        run("systemctl", "disable", "--now", *units)
    if LINK_HELPER.exists() and LINK_STATE.exists():
        run(str(LINK_HELPER), "clear")


def remove(found: list[Path]) -> None:
    """Remove our paths; systemd and sshd then read what is left, also when this goes on."""
    units = [path.name for path in found if path.parent == UNITS]
    for path in found:
        remove_path(path)
    run("systemctl", "daemon-reload")
    run("systemctl", "try-reload-or-restart", "ssh.service")
    if units:
        run("systemctl", "reset-failed", *units, check=False)


def remove_path(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def remove_user(name: str) -> None:
    """Remove a user and its group, with what still runs and what it left in shared directories."""
    try:
        uid = pwd.getpwnam(name).pw_uid
    except KeyError:
        return
    end = time.monotonic() + PROCESSES_END_S
    while not run("pkill", "--signal", "KILL", "--uid", str(uid), check=False).returncode:
        if time.monotonic() > end:
            sys.exit(f"processes of user {name} do not end")
        time.sleep(0.1)
    for directory in filter(Path.is_dir, map(Path, SHARED)):
        for path in directory.iterdir():
            if path.lstat().st_uid == uid:
                remove_path(path)
    run("userdel", name)
    run("groupdel", name, check=False)  # gone with its user, as a rule


def purge(ours: set[str]) -> list[str]:
    """Purge the packages that came with us, but for those that others need by now: these."""
    going = wanted = ours & installed()
    if going and removed_with(going) - ours:
        going = {name for name in wanted if not removed_with({name}) - ours}
    if going:
        run("apt-get", "--quiet", "--yes", "-o", "DPkg::Lock::Timeout=600", "purge", *sorted(going))
    return sorted(wanted - going)


def removed_with(names: set[str]) -> set[str]:
    """What apt would remove together with these packages, they included."""
    said = run("apt-get", "--simulate", "purge", *sorted(names)).stdout
    lines = (line.split() for line in said.splitlines())
    return {words[1].partition(":")[0] for words in lines if words and words[0] in ("Purg", "Remv")}


def main(action: str, request: str) -> None:
    os.umask(0o077)
    actions = {
        "note": note,
        "installing": installing,
        "packages": packages,
        "restore": restore,
    }
    print(json.dumps(actions[action](json.loads(request))))


if __name__ == "__main__":
    main(*sys.argv[1:])
