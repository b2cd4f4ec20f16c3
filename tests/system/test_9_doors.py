"""The same cell through every door: what must not depend on how a bed came about does not."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from tests.system.tools import Bed, rows, streambed, verdict

from streambed.experiment.factors import StreamingConfiguration

pytestmark = pytest.mark.long

CELL = ("--set", "bandwidth=20 Mbit/s", "--set", "trigger=1 s")
MEASURES = "test_an_experiment_counts_as_on_any_bed"
DOORS = {"test_6_lab.py": "lab", "test_7_vagrant.py": "vagrant"}
# How many images a cell needs is the bed's to say.
ASKED = {field.name for field in fields(StreamingConfiguration)} - {"images"} | {"payload_bytes"}


@pytest.fixture
def doors(bed: Bed, results: Path, by_door: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The rows by door; that of podman is the one of test_2_run, or else one of its own."""
    if not list(results.glob("small-*")):
        streambed("run", bed.small, "-i", bed.path, "--results", str(results), *CELL)
    (row,) = (row for row in rows(results, "small") if row["bandwidth_mbit_per_s"] == 20)
    return {**by_door, "podman": row}


def test_every_door_that_was_asked_for_led_to_a_row(
    doors: dict[str, dict[str, Any]], request: pytest.FixtureRequest
) -> None:
    asked = {
        DOORS[item.path.name]
        for item in request.session.items
        if item.path.name in DOORS and item.name == MEASURES
    }
    assert asked, f"nothing to compare: run this together with {' or '.join(DOORS)}"
    assert set(doors) == asked | {"podman"}


def test_all_doors_lead_to_the_same_verdicts(doors: dict[str, dict[str, Any]]) -> None:
    ours = doors["podman"]
    for door, row in doors.items():
        # A machine of a lab has no quotas, so that no gate asks for them.
        quotas = door != "lab"
        assert verdict(row, quotas=quotas) == verdict(ours, quotas=quotas), door
        assert {name: row[name] for name in ASKED} == {name: ours[name] for name in ASKED}, door
        # The same images are classified alike; of more of them a bit more or less is right.
        same = row["images_sent"] == ours["images_sent"]
        assert row["accuracy"] == pytest.approx(ours["accuracy"], abs=0 if same else 0.005), door
