"""The faults that a cell can be put through, and what each needs of its bed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from streambed.inventory import Inventory, Node
from streambed.link import MIN_RATE_BIT_PER_S

AFTER_S = 15.0
"""From the first image to the fault: long enough to know how it was before."""

CUT_S, SLOW_S, FULL_S, FROZEN_S = 10.0, 10.0, 10.0, 20.0
"""How long a fault lasts that does not end by itself."""

SLOW_SHARE = 0.01
"""Of the link's rate."""

_Needs = Callable[[Inventory, float | None], str | None]
"""Bed and bandwidth (Mbit/s) of a cell → what is missing, in words."""


@dataclass(frozen=True)
class Fault:
    """One kind; `what` completes the sentence "in the middle of the cell ..."."""

    what: str
    needs: _Needs = lambda _bed, _bandwidth: None
    stops_node: bool = False
    """Whether a whole node is away for some time."""


def victim_node(bed: Inventory) -> Node | None:
    """The node that a bed can spare: the last of three brokers or more, or of two workers or more.

    Neither the node that collects results, nor that of the driver, nor the producer's.
    """
    brokers, workers = bed.group("kafka_brokers"), bed.group("spark_workers")
    if len(brokers) >= 3:
        return brokers[-1]
    spare = [node for node in workers if not node.groups & {"spark_master", "kafka_brokers"}]
    return spare[-1] if len(spare) >= 2 else None


def _brokers(least: int, most: int | None) -> _Needs:
    def needs(bed: Inventory, _bandwidth: float | None) -> str | None:
        count = len(bed.group("kafka_brokers"))
        if least <= count and (most is None or count <= most):
            return None
        wanted = f"{least}" if most == least else f"at least {least}"
        return f"a bed with {wanted} brokers, bed {bed.name} has {count}"

    return needs


def _contained(bed: Inventory, _bandwidth: float | None) -> str | None:
    """Machines, and their disks, are others' too."""
    return None if bed.in_containers else f"nodes in containers, bed {bed.name} is of machines"


def _node(bed: Inventory, bandwidth: float | None) -> str | None:
    if victim_node(bed) is not None:
        return _contained(bed, bandwidth)
    return f"a bed of three brokers or two workers, each on a node of its own, not {bed.name}"


def _shaped(_bed: Inventory, bandwidth: float | None) -> str | None:
    least = MIN_RATE_BIT_PER_S / SLOW_SHARE / 1e6
    if bandwidth is not None and bandwidth >= least:
        return None
    return f"a `bandwidth` of {least:g} Mbit/s or more, of which {SLOW_SHARE:.0%} can be shaped"


FAULTS: Mapping[str, Fault] = {
    "worker_kill": Fault("the last Spark worker is killed"),
    "executor_kill": Fault("its executor is killed"),
    "python_worker_kill": Fault("one of the executor's Python workers is killed"),
    "driver_kill": Fault("the driver is killed, and the run starts another"),
    "broker_of_three_kill": Fault("the last of three brokers is killed", _brokers(3, None)),
    "only_broker_kill": Fault("the only broker is killed", _brokers(1, 1)),
    "link_cut": Fault(f"nothing passes the link for {CUT_S:g} s"),
    "link_slow": Fault(f"the link has {SLOW_SHARE:.0%} of its rate for {SLOW_S:g} s", _shaped),
    "producer_kill": Fault("the producer is killed, and the run starts another"),
    "node_stop": Fault("a node is shut down and started", _node, stops_node=True),
    "node_freeze": Fault(f"a node is frozen for {FROZEN_S:g} s", _node, stops_node=True),
    "disk_full": Fault(f"the broker's disk is full for {FULL_S:g} s", _contained),
}
"""By the word that a user writes."""


def refusal(fault: str | None, bed: Inventory, bandwidth_mbit_per_s: float | None) -> str | None:
    """Why a bed cannot be put through a fault, or None when it can."""
    if fault is None:
        return None
    missing = FAULTS[fault].needs(bed, bandwidth_mbit_per_s)
    return None if missing is None else f"fault: {fault} needs {missing}"
