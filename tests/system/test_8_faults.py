"""Faults that are survived: nothing is lost, everything comes back, and the row tells how long.

Four kinds on the bed that is up, and four more of `--all`. An executor dies in test_3_sabotage.py;
a broker of three, and whole nodes, in test_6_brokers.py.
"""

from pathlib import Path

import pytest
from tests.system import survived as cells
from tests.system.survived import Survived
from tests.system.tools import Bed, streambed, until

KINDS = ("driver_kill", "only_broker_kill", "producer_kill", "link_cut")
MORE_KINDS = ("worker_kill", "python_worker_kill", "link_slow", "disk_full")

CUT_S = SLOW_S = 10.0


@pytest.fixture(scope="module")
def survived(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Survived]:
    results: Path = tmp_path_factory.mktemp("faults")
    return cells.run(bed.small, bed.path, KINDS, 50, results)


@pytest.fixture(scope="module")
def more(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Survived]:
    results: Path = tmp_path_factory.mktemp("more-faults")
    return cells.run(bed.small, bed.path, MORE_KINDS, 90, results)


@pytest.mark.parametrize("fault", KINDS)
def test_a_fault_acts_and_everything_comes_back(survived: dict[str, Survived], fault: str) -> None:
    cells.everything_came_back(survived[fault])


@pytest.mark.parametrize("fault", KINDS)
def test_nothing_is_lost_and_what_comes_twice_is_told_by_its_id(
    survived: dict[str, Survived], fault: str
) -> None:
    cells.nothing_was_lost(survived[fault])


def test_each_fault_costs_what_it_must(survived: dict[str, Survived]) -> None:
    told = {fault: each.row for fault, each in survived.items()}
    assert told["link_cut"]["recovery_s"] >= CUT_S
    for fault in ("driver_kill", "only_broker_kill"):
        assert told[fault]["recovery_s"] > 0, fault
    # A producer that starts again sends what may be without acknowledgement.
    assert told["producer_kill"]["duplicates"] > 0
    # Its connections outlive the cut, so that nothing is sent again.
    assert told["link_cut"]["duplicates"] == 0


@pytest.mark.long
@pytest.mark.parametrize("fault", MORE_KINDS)
def test_another_fault_is_survived_as_well(more: dict[str, Survived], fault: str) -> None:
    cells.everything_came_back(more[fault])
    cells.nothing_was_lost(more[fault])


@pytest.mark.long
def test_a_link_that_crawls_is_felt_as_long_as_it_does(more: dict[str, Survived]) -> None:
    assert more["link_slow"].row["recovery_s"] >= SLOW_S


METADATA = "/var/lib/kafka/data/__cluster_metadata-0/00000000000000000000.log"
FILL = """
part=$(df --output=avail --block-size=1 /var/lib/kafka | tail -n 1)
while [ "$part" -ge 4096 ]; do
    fallocate --length "$part" "/var/lib/kafka/.filled.$part" 2>/dev/null || true
    part=$((part / 2))
done
"""


def test_no_broker_starts_on_a_full_disk(bed: Bed) -> None:
    """Kafka cannot rebuild its indexes there, and would delete the log of its topics and users."""

    def journal() -> str:
        return bed.root("cloud", f"journalctl -u kafka -o cat --no-pager --since=@{began}")

    def refused() -> bool:
        return "kafka-room: " in journal()

    def back() -> bool:
        return bed.root("cloud", "systemctl is-active kafka || true").strip() == "active"

    began = bed.root("cloud", "date +%s").strip()
    size = int(bed.root("cloud", f"stat --format=%s {METADATA}"))
    try:
        bed.root("cloud", f"{FILL}\nsystemctl kill --signal=KILL kafka")
        until(refused, "a start to be refused")
    finally:
        bed.root("cloud", "rm --force /var/lib/kafka/.filled.*")
    until(back, "kafka to be back")
    assert "__cluster_metadata-0, dir=/var/lib/kafka/data] Corruption" not in journal()
    assert int(bed.root("cloud", f"stat --format=%s {METADATA}")) >= size
    streambed("verify", "-i", bed.path)
