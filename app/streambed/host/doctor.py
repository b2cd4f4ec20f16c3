"""Can this machine host a bed: every need, what was found, and the command that mends it."""

import dataclasses
import json
import platform
import sys
from collections.abc import Callable

from rich.markup import escape
from rich.table import Table

from streambed import console
from streambed.errors import StreambedError
from streambed.host import cache, capacity, cgroups, containers, kernel, packages, room, root
from streambed.host.finding import Finding, State

_MARKS = {
    State.OK: "[good]ok[/good]",
    State.MISSING: "[fail]missing[/fail]",
    State.NOTE: "[warn]note[/warn]",
    State.UNKNOWN: "[warn]unknown[/warn]",
}


def run(*, as_json: bool = False) -> int:
    """Check the machine and print the findings.

    Returns:
        The exit status: 1 when a needed thing is missing or could not be checked.
    """
    findings = examine()
    if as_json:
        console.out.print_json(json.dumps([dataclasses.asdict(one) for one in findings]))
    else:
        console.out.print(table(findings))
        console.out.print(summary(findings))
    return exit_status(findings)


def examine() -> list[Finding]:
    """Look for everything; the order is that of the table."""
    may = root.available()
    listed = packages.parse(packages.LIST.read_text(encoding="utf-8"))
    beds = room.container_beds()
    findings = [
        judge_python(sys.version_info[:3]),
        packages.judge(listed, packages.is_there),
        cgroups.judge(cgroups.probe()),
        containers.runtime(),
    ]
    findings += _as_root(may, "podman", "podman, as root", lambda: [containers.podman_answers()])
    findings += _as_root(may, "storage", "overlay", lambda: [containers.overlay()])
    findings += _as_root(may, "loop", "a free loop device", lambda: [containers.loop_devices()])
    script = kernel.render_script(kernel.FEATURES)
    answers = kernel.parse_answers(root.run_script(script).stdout) if may else None
    findings += kernel.judge(kernel.FEATURES, answers)
    answers_well = any(one.name == "podman" and one.state is State.OK for one in findings)
    images = containers.image_bytes() if answers_well else 0
    here = room.machine(containers.STORAGE, image_bytes=images)
    findings += capacity.judge(room.demands(beds), here)
    findings += _as_root(may, "subnets", "free subnets", lambda: containers.subnets(beds))
    findings.append(cache.check())
    return [
        dataclasses.replace(one, mend=root.mend()) if one.state is State.UNKNOWN else one
        for one in findings
    ]


def judge_python(version: tuple[int, int, int]) -> Finding:
    """The controller's interpreter."""
    state = State.OK if version >= (3, 11, 0) else State.MISSING
    mend = "" if state is State.OK else "use Debian 12 or later, or Ubuntu 24.04"
    found = f"{'.'.join(map(str, version))} on {platform.platform(terse=True)}"
    return Finding("python", "3.11 or later", found, state, mend)


def exit_status(findings: list[Finding]) -> int:
    """1 when something needed is missing, or when it is not known whether it is."""
    return int(any(one.state in (State.MISSING, State.UNKNOWN) for one in findings))


def table(findings: list[Finding]) -> Table:
    """The findings as rows."""
    rows = Table("what", "need", "found", "", "to mend it", box=None, pad_edge=False)
    for one in findings:
        cells = [escape(text) for text in (one.name, one.need, one.found)]
        rows.add_row(*cells, _MARKS[one.state], escape(one.mend))
    return rows


def summary(findings: list[Finding]) -> str:
    """One sentence: can this machine host a bed."""
    missing = [one.name for one in findings if one.state is State.MISSING]
    unknown = [one.name for one in findings if one.state is State.UNKNOWN]
    if missing:
        return f"This machine cannot host a bed yet: {', '.join(missing)}."
    if unknown:
        return f"Not everything could be checked without root: {', '.join(unknown)}."
    return "This machine can host a bed."


def _as_root(may: bool, name: str, need: str, look: Callable[[], list[Finding]]) -> list[Finding]:
    if not may:
        return [Finding(name, need, "needs root to look", State.UNKNOWN)]
    try:
        return look()
    except StreambedError as error:
        return [Finding(name, need, error.message, State.MISSING, error.hint)]
