"""Why does mine differ? Two runs side by side."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tests.runs import make

from streambed.report import compare_show
from streambed.report.compare import compare
from streambed.report.manifest_diff import Group
from streambed.results.manifest import Facts


def facts(bed: str = "duo", prefix: str = "10.83.1", **changes: Any) -> Facts:
    """What a runner finds out, cut down; `changes`: numpy, cpus, kernel, fetch, application."""
    nodes = ("client", "cloud")
    versions = {n: {"packages": {"numpy": changes.get("numpy", "1.26.4")}} for n in nodes}
    fetch = {"fetch.max": changes.get("fetch", "1"), "listeners": f"PLAIN://{prefix}.12:9092"}
    return Facts(
        project={"commit": "abc"},
        controller={"kernel": changes.get("kernel", "6.1"), "python": "3.11.2"},
        inventory={bed: {n: {"cpus": changes.get("cpus", 0.8)} for n in nodes}},
        nodes={bed: {n: {"kernel": changes.get("kernel", "6.1")} for n in nodes}},
        versions={bed: versions, "controller": {"scipy": "1.17"}},
        effective={f"kafka on {bed}": {"cloud": fetch}},
        checksums={f"application on {bed}": dict.fromkeys(nodes, changes.get("application", "1"))},
    )


def test_a_comparison_begins_with_the_answer(tmp_path: Path) -> None:
    first = make(tmp_path, repeats=3, facts=facts())
    second = make(
        tmp_path, repeats=3, slower=0.5, facts=facts(numpy="2"), options=("producer=kafka-python",)
    )
    found = compare(first, second)
    assert found.headline() == (
        "The image rates differ in 4 of 4 cells: second over first is 0.500 in the middle, "
        "0.500 to 0.500. What differs: configuration (1), versions (1)."
    )


def test_ratios_have_intervals_and_say_whether_they_differ(tmp_path: Path) -> None:
    first, second = make(tmp_path, repeats=3), make(tmp_path, repeats=3, slower=0.5)
    data = json.loads(compare_show.to_json(compare(first, second)))
    rates = [entry for entry in data["ratios"] if entry["measure"] == "image_rate_per_s"]
    assert len(rates) == 4
    assert all(entry["ratio"] == pytest.approx(0.5) for entry in rates)
    assert all(entry["interval_low"] < 0.5 < entry["interval_high"] for entry in rates)
    assert all(entry["differs"] for entry in rates)
    limits = {(entry["first"], entry["second"]) for entry in data["limits"]}
    assert limits == {("link", "not shown")}


def test_the_same_twice_is_said_to_be_the_same(tmp_path: Path) -> None:
    found = compare(make(tmp_path, facts=facts()), make(tmp_path, facts=facts()))
    assert "The image rates are the same" in found.headline()
    assert "Nothing that was recorded differs" in found.headline()


def test_another_bed_with_the_same_nodes_is_no_difference(tmp_path: Path) -> None:
    first = make(tmp_path, facts=facts())
    second = make(tmp_path, facts=facts(bed="tests", prefix="10.83.77"))
    assert compare(first, second).differences == ()


@pytest.mark.parametrize(
    ("change", "group", "name", "nodes"),
    [
        ({"numpy": "2.0"}, Group.VERSIONS, "numpy", ("client", "cloud")),
        ({"cpus": 2.0}, Group.QUOTAS, "cpus", ("client", "cloud")),
        ({"kernel": "6.9"}, Group.HOST, "kernel", ("controller", "client", "cloud")),
        ({"fetch": "2"}, Group.CONFIGURATION, "kafka: fetch.max", ("cloud",)),
        ({"application": "2"}, Group.CODE, "application", ("client", "cloud")),
    ],
)
def test_a_difference_is_told_once_in_its_group(
    change: dict[str, Any], group: Group, name: str, nodes: tuple[str, ...], tmp_path: Path
) -> None:
    found = compare(make(tmp_path, facts=facts()), make(tmp_path, facts=facts(**change)))
    (entry,) = found.differences
    assert (entry.group, entry.name, entry.nodes) == (group, name, nodes)


def test_what_one_run_has_no_record_of_is_one_difference(tmp_path: Path) -> None:
    found = compare(make(tmp_path, facts=facts()), make(tmp_path, facts=Facts()))
    versions = [entry for entry in found.differences if entry.group == Group.VERSIONS]
    assert ("versions", "3 entries", "not recorded") in [
        (entry.name, entry.first, entry.second) for entry in versions
    ]
    assert len(found.differences) < 10


def test_it_is_readable_in_80_columns(tmp_path: Path) -> None:
    first = make(tmp_path, repeats=3, facts=facts())
    second = make(tmp_path, repeats=3, slower=0.5, failed=1, facts=facts(numpy="2", fetch="x" * 99))
    screen = io.StringIO()
    Console(width=80, file=screen).print(compare_show.render(compare(first, second)))
    text = screen.getvalue()
    assert "image_rate_per_s " in text
    assert "numpy (client, cloud)" in text
    assert "contended 1 of 3" in " ".join(text.split())
    assert "0.500" in text


def test_cells_of_one_run_only_are_named(tmp_path: Path) -> None:
    first = make(tmp_path)
    second = make(tmp_path, options=("bandwidth=10 Mbit/s,20 Mbit/s",))
    found = compare(first, second)
    assert found.only[0] == ("100 Mbit/s, 1 s", "100 Mbit/s, 2 s")
    assert found.only[1] == ("20 Mbit/s, 1 s", "20 Mbit/s, 2 s")
    nothing = compare(first, make(tmp_path, options=("bandwidth=50 Mbit/s",)))
    assert "No cell has an image rate in both runs" in nothing.headline()
