"""How long a run takes, before it runs. Every constant is named, with where it comes from."""

from collections.abc import Hashable, Sequence

from streambed.experiment.ablation import AblationConfiguration
from streambed.experiment.batch import BatchConfiguration
from streambed.experiment.cells import Cell
from streambed.experiment.content import training_images
from streambed.experiment.factors import StreamingConfiguration
from streambed.experiment.kafka import CamerasConfiguration, KafkaConfiguration
from streambed.experiment.kafka_estimate import cameras_cell_s, kafka_cell_s, loads_s
from streambed.experiment.length import (
    arrival_images_per_s,
    producer_images_per_s,
    sending_time_s,
)
from streambed.experiment.order import Execution
from streambed.experiment.schedule import makespan_s
from streambed.experiment.training import TrainingConfiguration
from streambed.pipelines.training.names import CHAINERMN, SPARK_MLP, TORCH

BED_UP_S, NODE_UP_S = 30.0, 5.0
"""A bed that is down, and each of its nodes: created, provisioned, verified from a baked image."""

DRIVER_START_CPU_S, EXECUTOR_START_CPU_S = 8.0, 6.0
"""CPU time of a driver until it is ready, and of an executor and its Python workers until they have
classified something: JVMs, imports, the first micro-batch. One after the other, on a core or less,
that is job submitted to first result (14 s where both have a core)."""

PRIME_IMAGES_PER_S = 8_000.0
"""Classifying the priming images on a machine that is still warming up."""

UNSHAPED_IMAGES_PER_S = 20_000.0
"""What two cores classify when nothing shapes the link (facts.md: 21,000 in a quota of 1.6)."""

IMAGES_PER_CORE_S = UNSHAPED_IMAGES_PER_S / 1.6
"""The same for each core of the workers' quotas."""

ROWS_IMAGES_PER_S = 1_800.0
"""What they classify with `conversion: rows`, in batches of a second."""

KAFKA_PYTHON_SHARE = 0.65
"""What kafka-python sends, of the bound that length.py gives it."""

LOAD_IMAGES_PER_S = 60_000.0
"""Loading a topic from its broker's own node, in a quota of 1.6."""

STAGE_IMAGES_PER_S = {
    "producer": 80_000.0,
    "broker": 160_000.0,
    "scan": 90_000.0,
    "identity": 80_000.0,
    "model": UNSHAPED_IMAGES_PER_S,
    "full": UNSHAPED_IMAGES_PER_S,
    "chainer": 28_000.0,
    "loop": 26_000.0,
}
"""Images/s of the stages of an ablation, in a quota of 1.6 (the producer's: 0.4)."""

GATE_SETTLE_S = 0.7
"""Starting and ending one goodput measurement."""

PROBES = 7
"""Of a search: two or three find a bracket of half, four more its ends within 5 %."""

PROBE_S, PROBE_TRIGGERS = 17.0, 12
"""From the start of a probe's producer to its last image classified."""

APPLICATION_S = 6.0
"""Beside its cold start: workers switched, a rehearsal, and the end of it all."""

BATCH_IMAGES_PER_CORE_S = 20_000.0
"""What a core classifies when nothing else uses it (facts.md: 39,000 and more on two)."""

TASK_CPU_S = 0.1
"""CPU time that Spark and Python take for a task, whatever is in it (facts.md)."""

JOB_S = 4.0
"""Input shuffled, job and tasks told of, gates before and after, results stored."""

WARM_THREAD_CPU_S = 0.15
"""CPU time of a Python worker that starts and builds its model, before a job that classifies."""

TRAINED_PER_CORE_S = {CHAINERMN: 3_000.0, TORCH: 4_000.0, SPARK_MLP: 2_500.0}
"""Images/s that a core trains (facts.md: 2,330 and 4,980 with the stock network and batches of 512;
quick_lenet5.py is expected to be faster than the first, which a run has yet to show)."""

UPDATE_CPU_S = {CHAINERMN: 0.009, TORCH: 0.003, SPARK_MLP: 0.5}
"""CPU time of an update beside its images: what a batch of 1 takes (facts.md: 104 images/s)."""

RANK_EFFICIENCY = 0.95
"""What each further rank leaves of it: ranks wait for the slowest one."""

EVALUATED_PER_TRAINED = 3.0
"""Evaluating an image takes so many times less than training it: no gradients."""

TEST_IMAGES = 10_000

RANK_START_CPU_S = {CHAINERMN: 6.0, TORCH: 16.0, SPARK_MLP: 2.0}
"""CPU time until a rank trains: interpreters, imports, connections."""

PREPARED_PER_CORE_S = 60_000.0
"""Images/s that a core decodes, normalises, augments and writes."""

OTHER_S = 5.0
"""Topics, shaping, collecting, checking and storing the results of a cell."""


def classifier_images_per_s(cell: Cell) -> float:
    """What the workers of a cell classify at their best, when images are there."""
    cores = cell.quotas.all_workers
    return UNSHAPED_IMAGES_PER_S if cores is None else IMAGES_PER_CORE_S * cores


def cold_start_s(cell: Cell) -> float:
    """Job submitted to first result."""
    driver, worker = (min(1.0, cores or 1.0) for cores in (cell.quotas.driver, cell.quotas.worker))
    return DRIVER_START_CPU_S / driver + EXECUTOR_START_CPU_S / worker


def sending_s(cell: Cell) -> float:
    """How long the producer sends in a cell."""
    if cell.images is None:
        return sending_time_s(cell.streaming, cell.warm_up)
    config = cell.streaming
    limits = [arrival_images_per_s(config, cell.payload_bytes) or UNSHAPED_IMAGES_PER_S]
    bound = producer_images_per_s(config, cell.producer_cpus)
    if bound is not None:
        limits.append(KAFKA_PYTHON_SHARE * bound)
    return cell.images / min(limits)


def classifying_s(cell: Cell) -> float:
    """How long the classifier needs for the images of a cell, if they were all there."""
    if cell.images is None:
        return 0.0
    rows = cell.streaming.conversion == "rows"
    slower = UNSHAPED_IMAGES_PER_S / ROWS_IMAGES_PER_S if rows else 1.0
    return cell.images * slower / classifier_images_per_s(cell)


def search_s(cell: Cell) -> float:
    """How long the search for the sustainable rate takes, in the cells that have one.

    With a fault the first cell of a bed searches for all of them: `run_s` has that.
    """
    if cell.streaming.sustainable_share is None or cell.streaming.fault is not None:
        return 0.0
    return _search_s(cell)


def _search_s(cell: Cell) -> float:
    return PROBES * max(PROBE_S, PROBE_TRIGGERS * cell.streaming.trigger_s)


def cell_s(cell: Cell) -> float:
    """One execution, from an idle bed and back to it."""
    if isinstance(cell.config, AblationConfiguration):
        return _stage_s(cell, cell.config)
    if isinstance(cell.config, BatchConfiguration):
        return _batch_s(cell, cell.config)
    if isinstance(cell.config, KafkaConfiguration):
        return kafka_cell_s(cell)
    if isinstance(cell.config, CamerasConfiguration):
        return cameras_cell_s(cell)
    if isinstance(cell.config, TrainingConfiguration):
        return _training_s(cell, cell.config)
    return _streaming_s(cell)


def _stage_s(cell: Cell, config: AblationConfiguration) -> float:
    """One stage: the topic loaded, the cold start, the images, the rest."""
    processing = cell.given_images / STAGE_IMAGES_PER_S[config.stage]
    loads = config.stage not in ("producer", "chainer")
    loading = cell.given_images / LOAD_IMAGES_PER_S if loads else 0.0
    return cold_start_s(cell) + loading + processing + OTHER_S


def _batch_s(cell: Cell, config: BatchConfiguration) -> float:
    """One job of an application that is there already.

    What needs a processor shares those of the nodes, what is timed has a thread to itself.
    """
    cores = cell.quotas.all_workers or float(config.workers)
    tasks_s = TASK_CPU_S * config.partitions / cores
    if config.chunk_work == "timed":
        return JOB_S + tasks_s + makespan_s(config, config.chunk_time_s)
    threads = config.workers * config.threads
    warm_cpu_s = threads * (WARM_THREAD_CPU_S + cell.warm_up.prime_images / BATCH_IMAGES_PER_CORE_S)
    return JOB_S + tasks_s + (warm_cpu_s + cell.given_images / BATCH_IMAGES_PER_CORE_S) / cores


def _training_s(cell: Cell, config: TrainingConfiguration) -> float:
    """Application, preprocessing, ranks, epochs with their evaluations; ranks share a node."""
    core = min(cell.quotas.worker or float(config.ranks), float(config.ranks))
    cores = core * config.workers * RANK_EFFICIENCY ** (config.all_ranks - 1)
    images = training_images(config.dataset)
    steps = config.steps(images)
    per_core_s = TRAINED_PER_CORE_S[config.engine]
    training = steps.trained_images / per_core_s / cores
    training += steps.updates * UPDATE_CPU_S[config.engine] * config.ranks / core
    epochs = -(-steps.updates // steps.per_epoch)
    evaluating = epochs * TEST_IMAGES / per_core_s / EVALUATED_PER_TRAINED / cores
    starting = RANK_START_CPU_S[config.engine] * config.ranks / min(1.0, core)
    preparing = images / PREPARED_PER_CORE_S / cores
    return cold_start_s(cell) + preparing + starting + training + evaluating + 2 * OTHER_S


def _streaming_s(cell: Cell) -> float:
    """Cold start, priming, gates, warm-up and triggers, last batches, the rest.

    Goodput is measured in two directions before and after, unless nothing is shaped.
    """
    gates = 0.0
    if cell.streaming.bandwidth_mbit_per_s is not None:
        gates = 4 * (cell.gates.goodput_s + GATE_SETTLE_S)
    # One rehearsal at half the pace, one at the cell's own, each with its last micro-batch.
    rehearsing = 2 * (cell.warm_up.rehearse_s + cell.streaming.trigger_s)
    priming = cell.warm_up.prime_images / PRIME_IMAGES_PER_S + rehearsing
    last_batches = 2 * cell.streaming.trigger_s
    images = max(sending_s(cell), classifying_s(cell))
    searching = search_s(cell)
    return cold_start_s(cell) + priming + gates + searching + images + last_batches + OTHER_S


def bed_up_s(nodes: int) -> float:
    """A bed of so many nodes that is down, until it is verified."""
    return BED_UP_S + NODE_UP_S * nodes


def costs_s(executions: Sequence[Execution]) -> list[float]:
    """Of each execution, in their order: its cell, and the application that it has to start."""
    found: list[float] = []
    running: Hashable = None
    for cell in (execution.cell for execution in executions):
        cost_s = cell_s(cell)
        if isinstance(cell.config, BatchConfiguration) and cell.shared != running:
            running = cell.shared
            cost_s += cold_start_s(cell) + APPLICATION_S
        found.append(cost_s)
    return found


def run_s(executions: Sequence[Execution]) -> float:
    """A whole run, its beds up: cells, and what they share, be it applications, topics or rates."""
    disturbed = {
        cell.bed: cell
        for cell in (execution.cell for execution in executions)
        if isinstance(cell.config, StreamingConfiguration)
        and cell.config.fault is not None
        and cell.config.sustainable_share is not None
    }
    searches_s = sum(_search_s(cell) for cell in disturbed.values())
    return sum(costs_s(executions)) + loads_s(executions) + searches_s
