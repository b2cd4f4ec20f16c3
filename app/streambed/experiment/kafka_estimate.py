"""How long cells of pipelines `kafka` and `cameras` take, before they run."""

import itertools
from collections.abc import Sequence

from streambed import inventory
from streambed.experiment.cells import Cell
from streambed.experiment.kafka import CONSUME, FILMED_S, PRODUCE
from streambed.experiment.kafka_length import READ_S, consume_rate_per_s, produce_rate_per_s
from streambed.experiment.order import Execution
from streambed.experiment.placement import place_kafka

PROGRAMS_S = 12.0
"""Topics, samplers, consumers and producer started on small quotas, counters read, results kept."""

GOODPUT_S = 0.7
"""Starting and ending one measurement of the link."""

RECOVERY_S = 45.0
"""A broker that was killed: until it is back and in sync."""

CONNECT_S = 0.02
"""A camera's own client: its threads and its connection, on a core."""

JAVA_START_S = 5.0
"""A tool's JVM, on half a core."""


def _gates_s(cell: Cell, bandwidth_mbit_per_s: float | None) -> float:
    return 0.0 if bandwidth_mbit_per_s is None else 4 * (cell.gates.goodput_s + GOODPUT_S)


def kafka_cell_s(cell: Cell) -> float:
    """One cell; a topic that it finds loaded is in `loads_s`."""
    config, bed = cell.kafka, inventory.load(cell.bed)
    producing = cell.given_images / produce_rate_per_s(config, bed)
    consuming = cell.given_images / consume_rate_per_s(config, bed)
    checking = cell.given_images * READ_S["confluent-kafka"] / 0.3
    if config.scenario == CONSUME:
        busy = consuming
    elif config.scenario == PRODUCE:
        busy = producing + checking
    else:
        busy = max(producing, consuming)
    fault = RECOVERY_S + checking if config.kill_broker is not None else 0.0
    java = JAVA_START_S if config.client == "java" else 0.0
    return PROGRAMS_S + _gates_s(cell, config.bandwidth_mbit_per_s) + busy + fault + java


def cameras_cell_s(cell: Cell) -> float:
    """One cell: its clients connect, then they film."""
    config = cell.cameras
    client = place_kafka(config, inventory.load(cell.bed)).producer
    clients = config.cameras if config.camera_clients == "own" else 1
    connecting = CONNECT_S * clients / min(1.0, client.cpus or 1.0)
    filming = config.duration_s or FILMED_S
    return PROGRAMS_S + _gates_s(cell, config.bandwidth_mbit_per_s) + connecting + filming


def loads_s(executions: Sequence[Execution]) -> float:
    """Loading of topics that cells share: once for those that follow each other."""
    loaded = [e.cell for e in executions if e.cell.pipeline == "kafka"]
    loaded = [cell for cell in loaded if cell.config.shared is not None]
    groups = (next(same) for _, same in itertools.groupby(loaded, key=lambda cell: cell.shared))
    return sum(map(_load_s, groups))


def _load_s(cell: Cell) -> float:
    rate = produce_rate_per_s(cell.kafka, inventory.load(cell.bed))
    return PROGRAMS_S / 2 + cell.given_images / rate
