"""Faults that are survived: nothing is lost, everything comes back, and the row tells how long.

Four kinds on the bed that is up; `./streambed run faults --subset evening` has all twelve, and an
executor dies in test_3_sabotage.py.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.system.tools import Bed, rows, streambed

OPTIONS = (
    *("--set", "offered_rate=1500 images/s", "--set", "bandwidth=50 Mbit/s"),
    *("--set", "trigger=1 s", "--duration", "50 s"),
)

_GONE = r"process \d+ on {} is gone"
KINDS = {
    "driver_kill": _GONE.format("cloud"),
    "only_broker_kill": _GONE.format("cloud"),
    "producer_kill": _GONE.format("client"),
    "link_cut": r"[1-9]\d* packets between client and the cluster were dropped",
}
"""Kind → what proves that it acted."""

CUT_S = 10.0
IMAGES = 1500 * 50


@dataclass(frozen=True)
class Survived:
    """A cell with a fault: its row, and the ids of its results as they were read."""

    row: Mapping[str, Any]
    ids: Any


@pytest.fixture(scope="module")
def survived(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Survived]:
    """One run, a cell for each kind."""
    results: Path = tmp_path_factory.mktemp("faults")
    where = ("-i", bed.path, "--results", str(results))
    streambed("run", bed.small, *where, *OPTIONS, "--set", f"fault={','.join(KINDS)}")
    found = {}
    for row in rows(results, "small"):
        attempt = f"{row['cell']}-{row['repeat']}-{row['attempt']}"
        ids = np.empty(0, np.uint64)  # of a cell that broke off
        for raw in results.rglob(f"raw/{attempt}/results.npz"):
            with np.load(raw) as arrays:
                ids = arrays["image_id"]
        found[row["fault"]] = Survived(row, ids[ids < IMAGES])
    return found


@pytest.mark.parametrize("fault", KINDS)
def test_a_fault_acts_and_everything_comes_back(survived: dict[str, Survived], fault: str) -> None:
    row = survived[fault].row
    assert row["status"] == "ok", row["reason"]
    gates = row["gates"]
    assert re.fullmatch(KINDS[fault], gates["fault_acts"]["measured"])
    assert "active" in gates["services_back"]["measured"]
    assert gates["executors_back"]["measured"] == 1
    assert "disturbed" not in row["flags"]


@pytest.mark.parametrize("fault", KINDS)
def test_nothing_is_lost_and_what_comes_twice_is_told_by_its_id(
    survived: dict[str, Survived], fault: str
) -> None:
    """By the raw results, whatever the row says."""
    row, ids = survived[fault].row, survived[fault].ids
    once = np.unique(ids).size
    assert (row["lost"], row["mismatches"]) == (0, 0)
    assert once == row["images_sent"] == IMAGES
    assert len(ids) - once == row["duplicates"]


def test_each_fault_costs_what_it_must(survived: dict[str, Survived]) -> None:
    told = {fault: each.row for fault, each in survived.items()}
    assert told["link_cut"]["recovery_s"] >= CUT_S
    for fault in ("driver_kill", "only_broker_kill"):
        assert told[fault]["recovery_s"] > 0, fault
    # A producer that starts again sends what may be without acknowledgement.
    assert told["producer_kill"]["duplicates"] > 0
    # Its connections outlive the cut, so that nothing is sent again.
    assert told["link_cut"]["duplicates"] == 0
