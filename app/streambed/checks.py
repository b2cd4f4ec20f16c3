"""All checks of the project, one tally: linters, types, unit tests, then whole beds."""

import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from streambed import paths
from streambed.console import err

_SHELL = ("streambed", ".ci/run", "app/streambed/beds/docker_cli/docker")


@dataclass(frozen=True)
class Outcome:
    """How many checks of one kind passed and failed, and what the failed ones printed."""

    name: str
    passed: int
    failed: int
    took_s: float
    output: str


@dataclass(frozen=True)
class Tally:
    """The sum over all checks."""

    passed: int
    failed: int

    def line(self) -> str:
        """The closing line that CI reads."""
        return f"{self.passed} passed, {self.failed} failed"


def _tool(name: str) -> str:
    return str(Path(sys.executable).parent / name)


def linters() -> dict[str, list[str]]:
    """Name and command of each linter; each counts as one check."""
    return {
        "ruff check": [_tool("ruff"), "check", "."],
        "ruff format": [_tool("ruff"), "format", "--check", "."],
        "mypy --strict": [_tool("mypy"), f"--cache-dir={paths.cache_dir() / 'mypy'}"],
        "yamllint": [_tool("yamllint"), "--strict", "."],
        "shellcheck": ["shellcheck", *_SHELL],
        "ansible-lint": [_tool("ansible-lint"), "--offline", "--profile", "production"],
    }


def _environment() -> dict[str, str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return os.environ | {
        "PYTHONPATH": str(paths.ROOT / "app"),
        "PATH": path,
        "NO_COLOR": "1",
        "ANSIBLE_CONFIG": str(paths.ROOT / "ansible.cfg"),
    }


def _lint(name: str, command: list[str]) -> Outcome:
    start = time.monotonic()
    try:
        done = subprocess.run(
            command,
            cwd=paths.ROOT,
            env=_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        ok, output = done.returncode == 0, done.stdout + done.stderr
    except FileNotFoundError as error:
        ok, output = False, str(error)
    return Outcome(name, int(ok), int(not ok), time.monotonic() - start, "" if ok else output)


def count_junit(report: Path) -> tuple[int, int]:
    """Passed and failed tests of a JUnit file; a skipped test counts as failed.

    A test that did not run has proved nothing, and the project has none that may be left out.
    """
    passed = failed = 0
    for case in ET.parse(report).getroot().iter("testcase"):
        bad = any(case.find(tag) is not None for tag in ("failure", "error", "skipped"))
        failed += bad
        passed += not bad
    return passed, failed


def _pytest(name: str, folder: str, *options: str, show: bool) -> Outcome:
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "junit.xml"
        command = [
            sys.executable,
            "-m",
            "pytest",
            folder,
            f"--junitxml={report}",
            "-ra",
            *options,
        ]
        done = subprocess.run(
            command,
            cwd=paths.ROOT,
            env=_environment(),
            stdout=None if show else subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        passed, failed = count_junit(report) if report.exists() else (0, 0)
    if done.returncode != 0 and failed == 0:
        failed = 1  # collection broke, or pytest itself did
    output = "" if failed == 0 or show else done.stdout
    return Outcome(name, passed, failed, time.monotonic() - start, output)


def _report(outcome: Outcome) -> None:
    mark = "[fail]failed[/fail]" if outcome.failed else "[good]ok[/good]"
    count = f"{outcome.passed} passed, {outcome.failed} failed"
    err.print(f"{mark:>6} {outcome.name}: {count} in {outcome.took_s:.1f} s")
    if outcome.output:
        err.out(outcome.output.rstrip(), highlight=False)


def run(*, quick: bool = False, everything: bool = False) -> Tally:
    """Run the checks; `quick` leaves out what needs a bed, only `everything` has the long ones."""
    outcomes: list[Outcome] = []
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        # The slow ones first; two cores share them.
        jobs = [pool.submit(_lint, name, command) for name, command in linters().items()]
        jobs.insert(1, pool.submit(_pytest, "unit tests", "tests/unit", "-q", show=False))
        for job in jobs:
            outcomes.append(job.result())
            _report(outcomes[-1])
    if not quick:
        # `--durations` shows where the minutes go; the output is shown as it comes.
        which = () if everything else ("-m", "not long")
        options = ("-v", "--durations=15", *which)
        outcome = _pytest("system tests", "tests/system", *options, show=True)
        outcomes.append(outcome)
        _report(outcome)
    return Tally(sum(o.passed for o in outcomes), sum(o.failed for o in outcomes))
