"""Which beds fit on this machine: cores, memory, disk."""

from collections.abc import Sequence
from dataclasses import dataclass

from streambed.host.finding import Finding, State
from streambed.quantities import format_size

# Room to work in, not a measurement: base and baked image took 2.4 GB together, and the one that a
# bake replaces stays until `clean`; a node keeps the topics and raw samples of one cell at a time.
_IMAGES_BYTES = 5 * 1024**3
_NODE_BYTES = 1024**3
DEFAULT_BED = "duo"


@dataclass(frozen=True)
class Demand:
    """What one bed asks of its host: sums over its nodes."""

    bed: str
    cores: float
    memory_bytes: int
    nodes: int

    @property
    def disk_bytes(self) -> int:
        """Room for the images and for what the nodes write."""
        return _IMAGES_BYTES + self.nodes * _NODE_BYTES


@dataclass(frozen=True)
class Machine:
    """What the host has."""

    cores: int
    memory_bytes: int
    disk_bytes: int
    """Free, where podman keeps containers, plus what its images take already."""


def judge(demands: Sequence[Demand], machine: Machine) -> list[Finding]:
    """One finding per bed; only the default bed is needed, the others are good to know."""
    return [_judge_one(demand, machine) for demand in demands]


def _judge_one(demand: Demand, machine: Machine) -> Finding:
    lacking = []
    # Quotas are decimal fractions written by people: 0.4 + 1.6 must be 2.
    if round(demand.cores, 6) > machine.cores:
        lacking.append("cores")
    if demand.memory_bytes > machine.memory_bytes:
        lacking.append("memory")
    if demand.disk_bytes > machine.disk_bytes:
        lacking.append("disk")
    need = _line(demand.cores, demand.memory_bytes, demand.disk_bytes)
    found = _line(machine.cores, machine.memory_bytes, machine.disk_bytes)
    name = f"bed {demand.bed}"
    if not lacking:
        return Finding(name, need, found, State.OK)
    return Finding(
        name,
        need,
        f"{found}: too little {', '.join(lacking)}",
        State.MISSING if demand.bed == DEFAULT_BED else State.NOTE,
        f"lower the quotas in inventory/{demand.bed}/hosts.yml, or use a larger machine",
    )


def _line(cores: float, memory_bytes: int, disk_bytes: int) -> str:
    return f"{cores:g} cores, {format_size(memory_bytes)} RAM, {format_size(disk_bytes)} disk"
