"""The tally of the checks: a skipped test has proved nothing."""

from pathlib import Path

from streambed import checks

REPORT = """<?xml version="1.0"?><testsuites><testsuite>
<testcase name="a"/><testcase name="b"><failure/></testcase>
<testcase name="c"><skipped/></testcase><testcase name="d"><error/></testcase>
</testsuite></testsuites>"""


def test_only_what_passed_counts_as_passed(tmp_path: Path) -> None:
    report = tmp_path / "junit.xml"
    report.write_text(REPORT)
    assert checks.count_junit(report) == (1, 3)


def test_the_closing_line() -> None:
    assert checks.Tally(12, 0).line() == "12 passed, 0 failed"
