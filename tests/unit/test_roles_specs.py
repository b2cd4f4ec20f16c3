"""Each role's argument_specs is its documentation: it knows every default, and nothing else."""

from pathlib import Path
from typing import Any

import pytest
import yaml

ROLES = sorted(path for path in (Path(__file__).parents[2] / "roles").iterdir() if path.is_dir())
TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "path": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "list": (list,),
    "dict": (dict,),
}


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text()) if path.exists() else {}


def options(role: Path) -> dict[str, dict[str, Any]]:
    spec = read(role / "meta/argument_specs.yml")["argument_specs"]["main"]
    assert spec["short_description"]
    found: dict[str, dict[str, Any]] = spec["options"]
    return found


def placed(role: Path) -> list[Path]:
    """Every path that the role's variables name for `streambed_place`."""
    return [
        Path(each["path"].replace("{{ _base_home }}", "/var/lib/streambed"))
        for name, value in read(role / "vars/main.yml").items()
        if name.endswith(("_files", "_file", "_directories", "_links")) and isinstance(value, list)
        for each in value
    ]


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_default_is_specified_and_every_option_has_a_default(role: Path) -> None:
    optional = {name for name, option in options(role).items() if not option.get("required")}
    assert set(read(role / "defaults/main.yml")) == optional


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_defaults_have_the_type_that_is_specified(role: Path) -> None:
    specified = options(role)
    for name, default in read(role / "defaults/main.yml").items():
        # What an expression becomes is checked by Ansible when the role runs.
        if not (isinstance(default, str) and "{{" in default):
            assert isinstance(default, TYPES[specified[name]["type"]]), name


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_names_are_the_roles_own_and_described(role: Path) -> None:
    for name, option in options(role).items():
        assert name.startswith(f"{role.name}_")
        assert option["description"]
    for name in read(role / "vars/main.yml"):
        assert name.startswith(f"_{role.name}_")


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_what_a_role_places_is_watched_by_the_probe(role: Path) -> None:
    """Otherwise it would be placed again in every play."""
    watched = read(ROLES[0].parent / "preflight/vars/main.yml")["_preflight_paths"]
    for path in placed(role):
        assert any(path.match(glob) for glob in watched), path


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_what_a_role_places_is_ours_by_name(role: Path) -> None:
    """Otherwise a teardown would leave it, and preflight would not see somebody else's."""
    own = read(ROLES[0].parent / "before/vars/main.yml")["_before_own"]["paths"]
    for path in placed(role):
        assert any(each.match(glob) for glob in own for each in (path, *path.parents)), path
