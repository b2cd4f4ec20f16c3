"""What is noted of a lab machine, and what a teardown does with it; nothing is changed here."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from streambed import inventory

PROGRAM = Path(__file__).parents[2] / "roles/before/files/before.py"
NOTHING: dict[str, Any] = {"paths": [], "users": [], "tables": []}


@pytest.fixture
def told() -> list[tuple[str, ...]]:
    """Commands that were not run."""
    return []


@pytest.fixture
def before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: list[tuple[str, ...]]
) -> ModuleType:
    """The program, with its record in a directory of the test; it runs no command."""
    spec = importlib.util.spec_from_file_location("roles_before", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "RECORD", tmp_path / "before" / "record.json")
    monkeypatch.setattr(module, "installed", lambda: {"bash", "java", "new"})
    monkeypatch.setattr(module, "LINK_HELPER", tmp_path / "no-helper")
    monkeypatch.setattr(module, "run", lambda *command, check=True: told.append(command))
    return module


def test_a_value_is_noted_once_and_never_again(before: ModuleType) -> None:
    request = {"sysctls": ["kernel.ostype"]}
    assert before.note(request) == {"changed": True}
    noted = json.loads(before.RECORD.read_text())
    assert noted["sysctls"] == {"kernel.ostype": ["Linux"]}
    noted["sysctls"]["kernel.ostype"] = ["Minix"]
    before.save(noted)
    assert before.note(request) == {"changed": False}
    assert before.load() == noted


def test_every_kernel_setting_that_the_roles_change_is_noted() -> None:
    inventory._find_plugins()
    from ansible.parsing.dataloader import DataLoader
    from ansible.template import Templar

    role = PROGRAM.parents[1]
    loader = DataLoader()
    defaults = loader.load_from_file(str(role / "defaults/main.yml"), trusted_as_template=True)
    templar = Templar(loader=loader, variables={"role_path": str(role)})
    assert templar.template(defaults["before_sysctls"]) == [
        "net.core.rmem_max",
        "net.core.wmem_max",
        "vm.max_map_count",
        "net.ipv4.tcp_congestion_control",
    ]


def test_a_setting_that_was_changed_is_put_back(
    before: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("ours", "1 2\n"), ("same", "7\n")):
        (tmp_path / name).write_text(value)
    monkeypatch.setattr(before, "sysctl_path", lambda name: tmp_path / name)
    before.note({"sysctls": ["ours", "same", "absent"]})
    (tmp_path / "ours").write_text("4\t8\n")
    (tmp_path / "same").chmod(0o400)
    before.restore(NOTHING)
    assert (tmp_path / "ours").read_text() == "1 2"
    assert (tmp_path / "same").read_text() == "7\n"


@pytest.mark.parametrize("shaped", [True, False])
def test_only_a_link_that_we_shaped_is_cleared(
    before: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    told: list[tuple[str, ...]],
    shaped: bool,
) -> None:
    """A discipline that somebody gave the interface since is theirs, and no teardown ends at it."""
    helper, state = tmp_path / "helper", tmp_path / "state.json"
    for path in [helper, state] if shaped else [helper]:
        path.touch()
    monkeypatch.setattr(before, "LINK_HELPER", helper)
    monkeypatch.setattr(before, "LINK_STATE", state)
    before.stop([])
    assert told == ([(str(helper), "clear")] if shaped else [])


def test_packages_that_came_are_added_up(
    before: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = {"bash"}
    monkeypatch.setattr(before, "installed", lambda: set(there))
    before.note({"sysctls": []})
    there.add("somebody's")
    before.installing({})
    there.add("java")
    before.installing({})  # the first one was interrupted
    before.packages({})
    there.add("somebody's too")
    before.installing({})
    there.add("new")
    before.packages({})
    assert before.load()["packages"] == ["java", "new"]
    assert "known" not in before.load()


def test_packages_of_an_installation_that_never_ended_go_too(
    before: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = {"bash"}
    purged: list[set[str]] = []

    def purge(ours: set[str]) -> list[str]:
        purged.append(ours)
        return []

    monkeypatch.setattr(before, "installed", lambda: set(there))
    monkeypatch.setattr(before, "purge", purge)
    before.note({"sysctls": []})
    before.installing({})
    there.add("half")
    before.restore(NOTHING)
    assert purged == [{"half"}]


def test_without_a_record_nothing_is_guessed(before: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "kafka").mkdir()
    with pytest.raises(SystemExit, match="nobody knows what the machine was"):
        before.restore({**NOTHING, "paths": [f"{tmp_path}/kaf*"]})
    assert (tmp_path / "kafka").exists()
    assert before.restore(NOTHING) == {"changed": False, "kept": []}


def test_what_is_ours_goes_and_the_record_goes_last(
    before: ModuleType, tmp_path: Path, told: list[tuple[str, ...]]
) -> None:
    before.note({"sysctls": ["kernel.ostype"]})
    (tmp_path / "opt" / "streambed" / "deep").mkdir(parents=True)
    (tmp_path / "opt" / "others").mkdir()
    (tmp_path / "opt" / "kafka").symlink_to(tmp_path / "opt" / "others")
    own = [f"{tmp_path}/opt/streambed", f"{tmp_path}/opt/kaf*"]
    assert before.restore({**NOTHING, "paths": own}) == {"changed": True, "kept": []}
    assert [path.name for path in (tmp_path / "opt").iterdir()] == ["others"]
    assert not before.RECORD.parent.exists()
    assert ("systemctl", "try-reload-or-restart", "ssh.service") in told
    assert before.restore({**NOTHING, "paths": own})["changed"] is False


@pytest.mark.parametrize(
    ("needs", "kept", "purged"),
    [
        ({}, [], {"java", "new"}),
        ({"java": {"tomcat"}}, ["java"], {"new"}),  # somebody else installed what needs it
    ],
)
def test_packages_that_others_need_by_now_stay(
    before: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    told: list[tuple[str, ...]],
    needs: dict[str, set[str]],
    kept: list[str],
    purged: set[str],
) -> None:
    def removed_with(names: set[str]) -> set[str]:
        return names.union(*(needs.get(name, set()) for name in names))

    monkeypatch.setattr(before, "removed_with", removed_with)
    assert before.purge({"java", "new", "gone"}) == kept
    (command,) = told
    assert set(command[command.index("purge") + 1 :]) == purged
