"""Which partition each chunk of pipeline `batch` goes to: the factor `assignment`.

    hash      what PySpark does with a text as key: `portable_hash(key) % partitions`, for texts
              Python's own hash under the PYTHONHASHSEED of the Python workers (a whole number
              hashes to itself, so that keys 0 ... 39 would never collide in 40 partitions)
    even      chunk i to partition i % partitions: counts differ by one at most
    weighted  longest chunk first, each to the partition with the least work until then

Partition j of `even` and `weighted` is meant for node j % nodes, see `by_node`.
"""

import functools
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

HASH, EVEN, WEIGHTED = "hash", "even", "weighted"
ASSIGNMENTS = (HASH, EVEN, WEIGHTED)

EQUAL, MIXED = "equal", "mixed"
SIZES = (EQUAL, MIXED)


def relative_sizes(chunks: int, sizes: str) -> list[float]:
    """Size of each chunk over the mean: all 1, or `mixed` from 1/2 to 3/2 in equal steps."""
    if sizes == EQUAL or chunks == 1:
        return [1.0] * chunks
    return [0.5 + index / (chunks - 1) for index in range(chunks)]


def key_of(chunk: int) -> str:
    """The key of a chunk in the RDD."""
    return f"chunk-{chunk:02d}"


@functools.cache
def hashes(chunks: int, seed: int) -> tuple[int, ...]:
    """What `portable_hash` gives for each chunk's key under PYTHONHASHSEED `seed`.

    Asked of another Python, since a seed holds from the start of an interpreter on. All from 3.11
    on hash texts alike (SipHash-1-3).
    """
    code = "import sys; print(*map(hash, sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code, *map(key_of, range(chunks))],
        env={**os.environ, "PYTHONHASHSEED": str(seed)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return tuple(map(int, done.stdout.split()))


def partition_of(
    assignment: str, costs: Sequence[float], partitions: int, seed: int
) -> tuple[int, ...]:
    """The partition of each chunk.

    Args:
        assignment: one of `ASSIGNMENTS`.
        costs: of each chunk, in any unit.
        partitions: how many there are.
        seed: PYTHONHASHSEED of the Python workers.
    """
    if assignment == HASH:
        return tuple(value % partitions for value in hashes(len(costs), seed))
    if assignment == EVEN:
        return tuple(chunk % partitions for chunk in range(len(costs)))
    return _weighted(costs, partitions)


def _weighted(costs: Sequence[float], partitions: int) -> tuple[int, ...]:
    """Partitions are numbered by their work, most first: nodes take turns with the heavy ones."""
    loads, counts = [0.0] * partitions, [0] * partitions
    found = [0] * len(costs)
    for chunk in sorted(range(len(costs)), key=lambda c: (-costs[c], c)):
        least = min(range(partitions), key=lambda p: (loads[p], counts[p], p))
        loads[least] += costs[chunk]
        counts[least] += 1
        found[chunk] = least
    by_load = sorted(range(partitions), key=lambda p: (-loads[p], p))
    number = {partition: rank for rank, partition in enumerate(by_load)}
    return tuple(number[partition] for partition in found)


def by_node(partitions: Sequence[int], nodes: int) -> list[list[int]]:
    """The chunks of each node, when partition j is meant for node j % nodes."""
    groups: list[list[int]] = [[] for _ in range(nodes)]
    for chunk, partition in enumerate(partitions):
        groups[partition % nodes].append(chunk)
    return groups


class Lookup:
    """A function for `partitionBy`: key → partition, as worked out before."""

    def __init__(self, partitions: Mapping[str, int]) -> None:
        self._partitions = dict(partitions)

    def __call__(self, key: str) -> int:
        return self._partitions[key]
