"""Module streambed_place, by Ansible itself on this machine."""

import getpass
import grp
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def place(wanted: list[dict[str, str]], *options: str) -> dict[str, Any]:
    """The module's result; `failed` is in it."""
    command = [str(Path(sys.executable).parent / "ansible"), "localhost", *options]
    command += ["-i", "localhost,", "-c", "local"]
    done = subprocess.run(
        [*command, "-m", "streambed_place", "-a", json.dumps({"wanted": wanted})],
        cwd=ROOT,
        env=os.environ
        | {
            "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.json",
            "ANSIBLE_LOAD_CALLBACK_PLUGINS": "1",
            "ANSIBLE_LOCALHOST_WARNING": "0",
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    report = json.loads(done.stdout[done.stdout.index("{") :])
    result: dict[str, Any] = report["plays"][0]["tasks"][0]["hosts"]["localhost"]
    return result


def owned(path: Path, mode: str, **more: str) -> dict[str, str]:
    group = grp.getgrgid(os.getgid()).gr_name
    return {"path": str(path), "owner": getpass.getuser(), "group": group, "mode": mode, **more}


def test_files_directories_and_links_are_placed_in_one_call_and_only_once(tmp_path: Path) -> None:
    wanted = [
        owned(tmp_path / "d", "0750"),
        owned(tmp_path / "d/f", "0640", content='{"a": 1}\n', validate="grep -q a %s"),
        {"path": str(tmp_path / "l"), "target": str(tmp_path / "d/f")},
    ]
    foretold = place(wanted, "--check")
    assert foretold["changed"]
    assert list(tmp_path.iterdir()) == []
    first = place(wanted)
    assert first["paths"] == [each["path"] for each in wanted]
    assert (tmp_path / "l").read_text() == '{"a": 1}\n'
    assert stat.S_IMODE((tmp_path / "d").stat().st_mode) == 0o750
    assert stat.S_IMODE((tmp_path / "d/f").stat().st_mode) == 0o640
    again = place(wanted)
    assert (again["changed"], again["paths"]) == (False, [])


def test_nothing_is_placed_when_one_content_is_refused(tmp_path: Path) -> None:
    good = owned(tmp_path / "good", "0600", content="x\n")
    bad = owned(tmp_path / "bad", "0600", content="{\n", validate="python3 -m json.tool %s")
    refused = place([good, bad])
    assert refused["failed"]
    assert str(tmp_path / "bad") in refused["msg"]
    assert list(tmp_path.iterdir()) == []
