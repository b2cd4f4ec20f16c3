"""What this machine has to give, and what the inventories' beds ask for."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from streambed import inventory, paths
from streambed.host.capacity import Demand, Machine
from streambed.inventory import Inventory


def container_beds() -> list[Inventory]:
    """The clone's inventories whose nodes are made on this machine, the default bed first."""
    found = sorted(paths.ROOT.glob("inventory/*/hosts.yml"))
    loaded = [inventory.load(path.parent) for path in found]
    beds = [bed for bed in loaded if bed.in_containers]
    return sorted(beds, key=lambda bed: (len(bed.nodes), bed.name))


def demands(beds: Sequence[Inventory]) -> list[Demand]:
    """Sums of the nodes' quotas."""
    return [
        Demand(
            bed=bed.name,
            cores=sum(node.cpus or 0 for node in bed.nodes),
            memory_bytes=sum(node.memory_bytes or 0 for node in bed.nodes),
            nodes=len(bed.nodes),
        )
        for bed in beds
    ]


def machine(storage: Path, *, image_bytes: int) -> Machine:
    """Cores this process may use, memory installed, disk free at `storage` (or its parent)."""
    place = storage if storage.exists() else storage.parent
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Machine(
        cores=len(os.sched_getaffinity(0)),
        memory_bytes=memory,
        disk_bytes=shutil.disk_usage(place).free + image_bytes,
    )
