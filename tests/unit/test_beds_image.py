"""The images' names follow from their content, and from nothing else."""

from pathlib import Path

from streambed.beds import base_image, image_inputs


def role(root: Path, name: str, files: dict[str, str]) -> None:
    for relative, content in files.items():
        path = root / "roles" / name / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def test_packages_of_all_roles_come_from_their_defaults(tmp_path: Path) -> None:
    role(tmp_path, "java", {"defaults/main.yml": "java_packages: [jre]\nother_packages: [x]\n"})
    role(tmp_path, "base", {"defaults/main.yml": "base_packages:\n  - ethtool\n"})
    found = base_image.packages(tmp_path / "roles")
    assert {"jre", "ethtool", "openssh-server"} <= set(found)
    assert "x" not in found
    assert list(found) == sorted(found)


def test_a_new_package_makes_a_new_base_image(tmp_path: Path) -> None:
    role(tmp_path, "java", {"defaults/main.yml": "java_packages: [jre]\n"})
    before = base_image.tag(tmp_path / "roles")
    assert base_image.tag(tmp_path / "roles") == before
    role(tmp_path, "java", {"defaults/main.yml": "java_packages: [jdk]\n"})
    assert base_image.tag(tmp_path / "roles") != before


def test_only_what_is_installed_changes_the_baked_image(tmp_path: Path) -> None:
    role(tmp_path, "kafka", {"tasks/install.yml": "a", "tasks/main.yml": "b", "files/f": "c"})
    role(tmp_path, "app", {"tasks/main.yml": "a", "files/f": "b"})
    before = image_inputs.digest(tmp_path, "base:1")
    role(tmp_path, "kafka", {"tasks/main.yml": "other"})
    role(tmp_path, "app", {"files/f": "other"})
    assert image_inputs.digest(tmp_path, "base:1") == before
    assert image_inputs.digest(tmp_path, "base:2") != before
    role(tmp_path, "kafka", {"files/f": "other"})
    assert image_inputs.digest(tmp_path, "base:1") != before


def test_the_clones_own_inputs_are_found() -> None:
    root = Path(__file__).parents[2]
    names = {str(path.relative_to(root)) for path in image_inputs.files(root)}
    assert {"ansible/bake.yml", "ansible/versions.yml", "app/streambed/link.py"} <= names
