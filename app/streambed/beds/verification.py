"""tests/infra against a bed: pytest as it is, with a short account and a log."""

import re
import sys
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

from streambed import console, paths
from streambed.beds import processes
from streambed.errors import StreambedError

_TESTS = paths.ROOT / "tests" / "infra"


@dataclass(frozen=True)
class Verdict:
    """How many checks of the nodes passed."""

    passed: int
    failures: tuple[str, ...]
    """Test and first line of its message."""


def run(inventory: Path, *, bed_id: str, log: Path) -> Verdict:
    """Run all checks.

    Raises:
        StreambedError: some failed (each is named), or pytest could not run them.
    """
    report = log.with_suffix(".xml")
    report.unlink(missing_ok=True)
    argv = [sys.executable, "-m", "pytest", str(_TESTS), "--inventory", str(inventory)]
    options = ["--quiet", "--tb=short", "-p", "no:cacheprovider", f"--junit-xml={report}"]
    with (
        log.open("wb") as stream,
        console.err.status("checking the nodes"),
        processes.running([*argv, *options], bed_id=bed_id, log=stream) as process,
    ):
        pass
    if not report.is_file():
        raise StreambedError(
            f"the checks did not run: pytest ended with status {process.returncode}",
            hint=f"log: {log}",
        )
    verdict = parse(report.read_text())
    if verdict.failures:
        raise StreambedError(
            f"{len(verdict.failures)} checks of the nodes failed\n" + "\n".join(verdict.failures),
            hint=f"log: {log}",
        )
    if process.returncode != 0 or verdict.passed == 0:
        raise StreambedError(
            f"the checks did not pass: pytest ended with status {process.returncode}",
            hint=f"log: {log}",
        )
    return verdict


def parse(junit_xml: str) -> Verdict:
    """Count and name from pytest's own report; a check that was not made is no check passed."""
    passed, failures = 0, []
    for case in ET.fromstring(junit_xml).iter("testcase"):
        wrong = [case.find("failure"), case.find("error")]
        element = next((one for one in wrong if one is not None), None)
        if element is not None:
            message = re.sub(r"\s+", " ", element.get("message") or "").strip()
            failures.append(f"{case.get('name')}: {message[:300]}")
        elif case.find("skipped") is None:
            passed += 1
    return Verdict(passed, tuple(failures))
