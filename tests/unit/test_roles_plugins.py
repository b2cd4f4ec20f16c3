"""The pure parts of the roles: what refuses a node, what counts as in place, what is packed."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
NEEDS: dict[str, Any] = {
    "os": "debian",
    "os_version": "12",
    "architecture": "x86_64",
    "python": "3.11",
    "memory_bytes": 2**31,
    "disk_bytes": 2**31,
    "address": "192.0.2.1",
    "clock_tolerance_s": 5.0,
}
FIT: dict[str, Any] = {
    "os": {"id": "debian", "version": "12"},
    "architecture": "x86_64",
    "python": "3.11.2",
    "systemd": True,
    "memory_bytes": 2**31,
    "disk_free_bytes": {"/opt": 2**32},
    "interface": "eth0",
    "clock": {"asked": 1000.0, "node": 1006.0},
    "answered": 1007.0,  # slow, but not wrong
    "shaping_missing": [],
}


def load(path: str) -> ModuleType:
    name = f"roles_{Path(path).stem}"
    spec = importlib.util.spec_from_file_location(name, ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


preflight = load("roles/preflight/filter_plugins/preflight.py")
place = load("ansible/action_plugins/streambed_place.py")
kafka = load("roles/kafka/filter_plugins/kafka_uuid.py")


def test_a_fit_node_is_not_refused() -> None:
    assert preflight.refusals(FIT, NEEDS) == []


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        ({"os": {"id": "ubuntu", "version": "22.04"}}, "it runs ubuntu 22.04"),
        ({"architecture": "aarch64"}, "it is a aarch64"),
        ({"python": "3.10.12"}, "its Python is 3.10.12"),
        ({"python": "3.1.1"}, "its Python is 3.1.1"),
        ({"systemd": False}, "systemd does not run"),
        ({"memory_bytes": 2**30}, "1.0 GiB of memory"),
        ({"disk_free_bytes": {"/opt": 1}}, "free in /opt"),
        ({"interface": None}, "no interface carries 192.0.2.1"),
        ({"clock": {"asked": 1000.0, "node": 991.0}}, "-9.0 s off"),
        ({"clock": {"asked": 1000.0, "node": 1013.0}}, "+6.0 s off"),
        ({"shaping_missing": ["sch_htb"]}, "lacks sch_htb"),
    ],
)
def test_an_unfit_node_is_refused_with_the_reason(seen: dict[str, Any], said: str) -> None:
    (reason,) = preflight.refusals({**FIT, **seen}, NEEDS)
    assert said in reason


def test_a_node_without_python_is_refused() -> None:
    (reason,) = preflight.refusals({"python": None}, NEEDS)
    assert "no python3" in reason


def test_only_what_differs_is_not_in_place() -> None:
    rights = {"owner": "root", "group": "root", "mode": "0644"}
    wanted = [
        {"path": "/same", "content": "a\n", **rights},
        {"path": "/other-content", "content": "a\n", **rights},
        {"path": "/other-mode", "content": "a\n", **rights},
        {"path": "/absent", "content": "a\n", **rights},
        {"path": "/directory", **rights},
        {"path": "/link", "target": "/there"},
    ]
    observed = {
        "paths": {
            "/same": place.signature(wanted[0]),
            "/other-content": place.signature({**wanted[0], "content": "b\n"}),
            "/other-mode": place.signature({**wanted[0], "mode": "0600"}),
            "/directory": "directory 0644 root root",
            "/link": "link /there",
        }
    }
    differing = [each["path"] for each in place.not_in_place(wanted, observed)]
    assert differing == ["/other-content", "/other-mode", "/absent"]


def test_without_a_probe_nothing_is_in_place() -> None:
    wanted = [{"path": "/link", "target": "/there"}]
    assert place.not_in_place(wanted, {}) == wanted


def test_the_probe_describes_a_file_as_the_filter_expects_it(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("content\n")
    file.chmod(0o640)
    request = {"address": "127.0.0.1", "controller_time": 0.0, "shaping": False, "users": ["root"]}
    probe = subprocess.run(
        [
            *(sys.executable, "-IS", ROOT / "roles/preflight/files/probe.py"),
            json.dumps({**request, "units": [], "paths": [f"{tmp_path}/*"]}),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    observed = json.loads(probe.stdout)
    wanted = {
        "path": str(file),
        "content": "content\n",
        "owner": file.owner(),
        "group": file.group(),
        "mode": "0640",
    }
    assert place.not_in_place([wanted], observed) == []
    assert observed["users"]["root"]["home"] == "/root"
    assert observed["clock"]["node"] > 1e9


def test_kafka_uuid_is_stable_and_no_option() -> None:
    uuids = {kafka.kafka_uuid(str(text)) for text in range(500)}
    assert len(uuids) == 500
    assert all(len(uuid) == 22 and not uuid.startswith("-") for uuid in uuids)
    assert kafka.kafka_uuid("duo") == kafka.kafka_uuid("duo")


def test_the_application_is_packed_by_content_and_installed(tmp_path: Path) -> None:
    source, link = tmp_path / "streambed", tmp_path / "app"
    (source / "pipelines/__pycache__").mkdir(parents=True)
    for name in (
        "__init__.py",
        "py.typed",
        "cli.py",
        "pipelines/a.py",
        "pipelines/__pycache__/a.pyc",
    ):
        (source / name).write_text(f"# {name}")

    def installed() -> str:
        command: list[str | Path] = [sys.executable, ROOT / "roles/app/files/pack.py", source]
        packed = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        target = tmp_path / f"app-{packed['hash']}"
        subprocess.run(
            [sys.executable, "-I", ROOT / "roles/app/files/install.py", target, link],
            input=packed["archive"].encode(),
            check=True,
        )
        assert link.resolve() == target
        assert (link / ".complete").exists()
        return (link / "HASH").read_text().strip()

    first = installed()
    assert {path.name for path in (link / "streambed").iterdir() if path.is_file()} == {
        "__init__.py",
        "py.typed",
    }
    assert installed() == first
    (source / "pipelines/a.py").write_text("changed = True")
    assert installed() != first
    assert (link / "streambed/pipelines/a.py").read_text() == "changed = True"
    assert len(list(tmp_path.glob("app-*"))) == 1
