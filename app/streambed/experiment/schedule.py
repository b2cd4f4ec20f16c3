"""How long the partitions of a batch keep threads busy, for the estimate of a run.

A sketch of what Spark does (pipelines/locality.py): partitions go, in their order, to the thread
that is free first; those of the node that has the data are free at once, all others after the wait.
"""

import heapq

from streambed.experiment.batch import BatchConfiguration
from streambed.pipelines.assignment import HASH, partition_of, relative_sizes

REVIVE_S = 0.5
"""Until the driver next offers its threads, on average."""


def chunks_of_partitions(config: BatchConfiguration) -> list[float]:
    """Work in each partition, in chunks of the mean size."""
    sizes = relative_sizes(config.chunks, config.chunk_sizes)
    found = partition_of(config.assignment, sizes, config.partitions, config.key_seed)
    work = [0.0] * config.partitions
    for size, partition in zip(sizes, found, strict=True):
        work[partition] += size
    return work


def makespan_s(config: BatchConfiguration, chunk_s: float) -> float:
    """From the first chunk's start to the last one's end.

    Args:
        config: of the cell.
        chunk_s: time of a chunk of the mean size on a thread.
    """
    others_free_s = 0.0
    if config.prefer_node and config.assignment == HASH and config.locality_wait_s > 0:
        others_free_s = config.locality_wait_s + REVIVE_S
    free_s = [0.0] * config.threads + [others_free_s] * (config.workers - 1) * config.threads
    heapq.heapify(free_s)
    end_s = 0.0
    for work in chunks_of_partitions(config):
        done_s = heapq.heappop(free_s) + work * chunk_s
        heapq.heappush(free_s, done_s)
        end_s = max(end_s, done_s)
    return end_s
