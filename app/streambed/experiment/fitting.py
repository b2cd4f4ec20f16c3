"""Does a cell fit its bed: workers, threads and memory, refused with the arithmetic."""

import math
from collections.abc import Sequence

from streambed.errors import StreambedError
from streambed.experiment import fault
from streambed.experiment.ablation import AblationConfiguration
from streambed.experiment.factor import Configuration
from streambed.experiment.kafka import BrokerConfiguration
from streambed.experiment.placement import brokers_of
from streambed.experiment.training import TrainingConfiguration
from streambed.inventory import Inventory, Node
from streambed.pipelines.spark_conf import DRIVER_MEMORY_MIB, EXECUTOR_MEMORY_MIB
from streambed.pipelines.training.names import CHAINERMN, SPARK_MLP, TORCH

LEAST_SLOTS = 8
"""Tasks at a time that role spark lets a worker offer, however small it is."""

SYSTEM_MIB = 160
"""systemd, sshd, a node program that samples, and some page cache."""

DAEMON_MIB = 256
"""A Spark daemon, at its largest heap (122 to 124 were measured)."""

BROKER_MIB = 512 + 160
"""A broker's heap, what its JVM needs beside it, and the collector."""

JVM_MIB = 192
"""What the JVM of a driver or an executor needs beside its heap."""

DRIVER_PROGRAM_MIB = 80
"""The Python side of a driver (66 were measured)."""

PYTHON_MIB, PYTHON_PER_THREAD_MIB = 110, 120
"""The parent of an executor's Python workers, and each worker with its model (332 with two)."""

RANK_MIB = {CHAINERMN: 350, TORCH: 900, SPARK_MLP: 120}
"""A rank with its network, and what starts it (bounds, not measured: three interpreters that have
imported torch, or one with Chainer and a piece of a batch); the images are mapped files."""


def slots(node: Node) -> int:
    """How many tasks a worker runs at a time, as role spark tells it."""
    given = node.variables.get("spark_worker_cores")
    return int(given) if given is not None else max(LEAST_SLOTS, math.ceil(node.cpus or 0))


def executor_room_mib(node: Node) -> int | None:
    """Memory that a worker offers to executors' heaps, as role spark tells it; None: not known."""
    given = node.variables.get("spark_worker_memory_mib")
    if given is not None:
        return int(given)
    if node.memory_bytes is None:
        return None
    whole = node.memory_bytes // 2**20
    shared = node.groups & {"spark_master", "kafka_brokers"}
    return whole * 3 // 8 if shared else max(512, (whole - 512) // 2)


def refusals(config: Configuration, bed: Inventory) -> list[str]:
    """Why a cell cannot run on a bed, each with the numbers; empty when it can, or has no worker.

    Raises:
        StreambedError: a node's variable is no number.
    """
    if isinstance(config, BrokerConfiguration):
        return _too_few_brokers(config, bed)
    workers = bed.group("spark_workers")
    if not workers:  # told when the cell is placed
        return []
    if isinstance(config, AblationConfiguration):
        return _apart(workers, bed)
    wanted = getattr(config, "workers", None) or len(workers)
    if wanted > len(workers):
        names = ", ".join(node.name for node in workers)
        return [f"workers: {wanted}, but bed {bed.name} has {len(workers)} ({names})"]
    bandwidth = getattr(config, "bandwidth_mbit_per_s", None)
    unfit = fault.refusal(getattr(config, "fault", None), bed, bandwidth)
    if unfit is not None:
        return [unfit]
    try:
        if isinstance(config, TrainingConfiguration):
            return [text for node in workers[:wanted] for text in _overtrained(node, config)]
        threads = getattr(config, "threads", 1)
        return [text for node in workers[:wanted] for text in _overfull(node, threads)]
    except ValueError as error:
        raise StreambedError(f"{bed.path}: a variable of role spark: {error}") from None


def _too_few_brokers(config: BrokerConfiguration, bed: Inventory) -> list[str]:
    brokers = brokers_of(config, bed)
    if not brokers or config.brokers <= len(brokers):  # none: told when the cell is placed
        return []
    names = ", ".join(node.name for node in brokers)
    return [f"brokers: {config.brokers}, but bed {bed.name} has {len(brokers)} ({names})"]


def _apart(workers: Sequence[Node], bed: Inventory) -> list[str]:
    """An ablation compares stages that do all on one node, under one quota."""
    whole = [node for node in workers if {"kafka_brokers", "spark_master"} <= node.groups]
    if len(workers) == len(whole) == 1:
        return []
    text = (
        "pipeline ablation compares its stages under one quota: broker, master and worker must be "
        f"one node (as in inventory/duo), bed {bed.name} has {len(workers)} workers"
    )
    return [text]


def _overfull(node: Node, threads: int) -> list[str]:
    found = []
    if threads > slots(node):
        found.append(
            f"threads: {threads} x 1 worker = {threads} tasks at a time on {node.name}, "
            f"which offers {slots(node)} (`spark_worker_cores`)"
        )
    return found + _too_large(node, f"threads: {threads}", needs_mib(node, threads))


def _overtrained(node: Node, config: TrainingConfiguration) -> list[str]:
    """A training's ranks are the tasks of its only executor on a node."""
    ranks, found = config.ranks, []
    if ranks > slots(node):
        found.append(
            f"ranks: {ranks} on {node.name}, which offers {slots(node)} slots "
            "(`spark_worker_cores`)"
        )
    terms = _without_python_mib(node)
    each = RANK_MIB[config.engine]
    terms[f"Python {PYTHON_MIB} + {ranks} x {each} ="] = PYTHON_MIB + ranks * each
    return found + _too_large(node, f"ranks: {ranks}", terms)


def _too_large(node: Node, what: str, terms: dict[str, int]) -> list[str]:
    """Whether an executor's heap, and all that runs, fit a node."""
    found = []
    room = executor_room_mib(node)
    if room is not None and room < EXECUTOR_MEMORY_MIB:
        found.append(
            f"an executor needs a heap of {EXECUTOR_MEMORY_MIB} MiB, {node.name} offers {room} "
            "(`spark_worker_memory_mib`)"
        )
    needed, limit = sum(terms.values()), node.memory_bytes
    if limit is not None and needed * 2**20 > limit:
        words = " + ".join(f"{part} {mib}" for part, mib in terms.items())
        found.append(
            f"{what} need {needed} MiB on {node.name} ({words}), its `memory` is {limit // 2**20}"
        )
    return found


def needs_mib(node: Node, threads: int) -> dict[str, int]:
    """What runs on a worker node in a cell → its memory, MiB."""
    terms = _without_python_mib(node)
    terms[f"Python {PYTHON_MIB} + {threads} x {PYTHON_PER_THREAD_MIB} ="] = (
        PYTHON_MIB + threads * PYTHON_PER_THREAD_MIB
    )
    return terms


def _without_python_mib(node: Node) -> dict[str, int]:
    terms = {"system": SYSTEM_MIB, "worker": DAEMON_MIB}
    if "kafka_brokers" in node.groups:
        terms["broker"] = BROKER_MIB
    if "spark_master" in node.groups:
        terms["master and history server"] = 2 * DAEMON_MIB
        terms["driver"] = DRIVER_MEMORY_MIB + JVM_MIB + DRIVER_PROGRAM_MIB
    terms["executor"] = EXECUTOR_MEMORY_MIB + JVM_MIB
    return terms
