"""A user's mistakes, at the command line: told at once, by name, with nothing touched."""

from pathlib import Path

import pytest
from tests.system.tools import streambed


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("up", "-i", "inventory/trio"), ("trio", "inventory/duo")),
        (("run", "smal"), ("smal", "small")),
        (("plan", "small", "--set", "bandwith=10 Mbit/s"), ("bandwith", "bandwidth")),
        (("plan", "small", "--set", "bandwidth=10"), ("10", "Mbit/s")),
        (("plan", "small", "--set", "bandwidth=10 parsec/s"), ("parsec/s", "Mbit/s")),
        (("plan", "small", "--set", "bandwidth=nan Mbit/s"), ("nan", "Mbit/s")),
        (("plan", "small", "--set", "bandwidth=0 Mbit/s"), ("0 Mbit/s",)),
        (("plan", "small", "--set", "trigger=-1 s"), ("-1 s",)),
        (("plan", "small", "--set", "broker_on=moon"), ("moon", "cloud")),
        (("plan", "small", "--set", "bandwidth=10 Mbit/s,10 Mbit/s"), ("10 Mbit/s",)),
        (("plan", "small", "--subset", "morning"), ("morning",)),
        (("ssh", "-i", "inventory/duo", "attic"), ("attic", "client, cloud")),
        (("vagrant", "prepare", "--provider", "hyperv"), ("hyperv", "docker")),
        (("vagrant", "describe", "-i", "inventory/lab"), ("inventory/lab", "static")),
        (("down", "-i", "inventory/lab"), ("lab", "ansible/teardown.yml")),
        (("results", "nothing"), ("nothing",)),
        (("report", "nothing"), ("nothing",)),
    ],
)
def test_a_mistake_is_named_with_what_is_allowed(
    arguments: tuple[str, ...], named: tuple[str, ...], tmp_path: Path
) -> None:
    results = ("--results", str(tmp_path)) if arguments[0] in {"run", "results", "report"} else ()
    said = streambed(*arguments, *results, status=1).stderr
    for word in named:
        assert word in said
    assert list(tmp_path.iterdir()) == []


def test_an_experiment_file_with_mistakes_names_file_line_and_value(tmp_path: Path) -> None:
    file = tmp_path / "mine.yml"
    file.write_text(
        "name: mine\nbed: duo\npipeline: streaming\nfactors:\n  bandwidth: [fast]\n"
        "  color: [red]\nrepeats: 0\n"
    )
    said = streambed("plan", str(file), status=1).stderr
    for word in ("mine.yml", "5", "fast", "6", "color", "7", "repeats"):
        assert word in said


def test_an_unknown_option_is_a_usage_error() -> None:
    assert "--bandwidth" in streambed("run", "small", "--bandwidth", "10", status=2).stderr


@pytest.mark.parametrize(
    "command",
    [
        *("demo", "test", "doctor", "up", "verify", "status", "ssh", "down", "plan", "run"),
        *("results", "report", "compare", "artifacts", "clean", "lock", "bundle", "vagrant"),
    ],
)
def test_every_command_has_help(command: str) -> None:
    assert command in streambed(command, "--help").stdout
