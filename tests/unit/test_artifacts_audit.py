"""What runs in which version, from the locks, and what pip-audit tells of it."""

import json

import pytest

from streambed.artifacts import audit
from streambed.artifacts.pins import load_versions

SAID = json.dumps(
    {
        "dependencies": [
            {"name": "Pillow", "version": "1.0", "vulns": [{"id": "CVE-1", "fix_versions": ["2"]}]},
            {"name": "numpy", "version": "1.26.4", "vulns": []},
            {"name": "skipped", "skip_reason": "not on the index"},
        ],
        "fixes": [],
    }
)


def test_advisories_are_told_with_what_mends_them() -> None:
    found = audit.parse(SAID)
    assert found["pillow"] == ("CVE-1 (mended in 2)",)
    assert found["numpy"] == found["skipped"] == ()


def test_everything_in_the_locks_is_listed() -> None:
    java = {part.name: part.version for part in audit.java()}
    versions = load_versions()
    assert java["kafka-server"] == versions["kafka"]
    assert java["java"] == versions["java"]
    parts = list(audit.python({"controller": None, "nodes": {"chainer": ("CVE-2",)}}))
    nodes = {part.name: part for part in parts if part.where == "nodes"}
    assert nodes["chainer"].advisories == ("CVE-2",)
    assert nodes["numpy"].advisories == ()
    assert {part.advisories for part in parts if part.where == "controller"} == {None}
    assert all(part.version and " " not in part.version for part in parts)
    debian = {part.name: part for part in audit.debian()}
    assert debian["python3-torch"].version.startswith("1.13.1")
    assert (debian["libgloo0"].where, debian["libgloo0"].advisories) == ("engine torch", None)
    # pip-audit reads the locks of Python packages, and no others.
    assert all(path.name.startswith("requirements") for path in audit.locks().values())


def test_an_advisory_decides_the_exit_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit.show(offline=True, as_json=True)
    monkeypatch.setattr(audit, "ask", lambda _where: {"numpy": ("CVE-3",)})
    capsys.readouterr()
    assert not audit.show(offline=False, as_json=True)
    rows = json.loads(capsys.readouterr().out)
    assert {row["name"] for row in rows if row["advisories"]} == {"numpy"}
