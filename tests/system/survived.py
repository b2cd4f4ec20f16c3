"""Cells with a fault, and what each must show: for every bed that has some."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tests.system.tools import rows, streambed

IMAGES_PER_S = 1500

_GONE = r"process \d+ on {} is gone"
PROOFS = {
    "worker_kill": _GONE.format("cloud"),
    "python_worker_kill": _GONE.format("cloud"),
    "driver_kill": _GONE.format("cloud"),
    "only_broker_kill": _GONE.format("cloud"),
    "producer_kill": _GONE.format("client"),
    "link_cut": r"[1-9]\d* packets between client and the cluster were dropped",
    "link_slow": r"the link carried 0\.\d+ Mbit/s of 50",
    "disk_full": r"\d+ bytes were free in /var/lib/kafka of cloud",
    "broker_of_three_kill": _GONE.format("broker3"),
    "node_stop": "broker3 was stopped",
    "node_freeze": "broker3 was paused",
}
"""Kind → what proves that it acted, on a bed of two nodes or on one of three brokers."""


@dataclass(frozen=True)
class Survived:
    """A cell with a fault: its row, and the ids of its results as they were read."""

    row: Mapping[str, Any]
    ids: Any
    images: int


def run(
    experiment: str, inventory: str, kinds: Sequence[str], seconds: int, results: Path
) -> dict[str, Survived]:
    """One run, a cell for each kind, of so many seconds."""
    streambed(
        *("run", experiment, "-i", inventory, "--results", str(results)),
        *("--set", f"fault={','.join(kinds)}", "--set", "bandwidth=50 Mbit/s"),
        *("--set", f"offered_rate={IMAGES_PER_S} images/s", "--set", "trigger=1 s"),
        *("--duration", f"{seconds} s"),
    )
    images = IMAGES_PER_S * seconds
    found = {}
    for row in rows(results, Path(experiment).stem):
        attempt = f"{row['cell']}-{row['repeat']}-{row['attempt']}"
        ids = np.empty(0, np.uint64)  # of a cell that broke off
        for raw in results.rglob(f"raw/{attempt}/results.npz"):
            with np.load(raw) as arrays:
                ids = arrays["image_id"]
        found[row["fault"]] = Survived(row, ids[ids < images], images)
    return found


def everything_came_back(survived: Survived) -> None:
    """The fault acted, and without a hand all is as it was."""
    row = survived.row
    assert row["status"] == "ok", row["reason"]
    gates = row["gates"]
    assert re.fullmatch(PROOFS[row["fault"]], gates["fault_acts"]["measured"])
    assert "active" in gates["services_back"]["measured"]
    assert gates["executors_back"]["measured"] == 1
    assert "disturbed" not in row["flags"]


def nothing_was_lost(survived: Survived) -> None:
    """By the raw results, whatever the row says; what came twice is told by its id."""
    row, ids = survived.row, survived.ids
    once = np.unique(ids).size
    assert (row["lost"], row["mismatches"]) == (0, 0)
    assert once == row["images_sent"] == survived.images
    assert len(ids) - once == row["duplicates"]
