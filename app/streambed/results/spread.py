"""How chunks spread over nodes and threads, and what that costs: arithmetic over a job's chunks."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from streambed.results.chunks import ChunkRun
from streambed.results.measures import BatchMeasures


def jain(counts: Sequence[int]) -> float:
    """Jain's fairness index (sum x)² / (k sum x²): 1 when all are equal, 1/k when one has all.

    Source: Jain, Chiu, Hawe: A Quantitative Measure of Fairness, DEC-TR-301, 1984.

    Raises:
        ValueError: nobody has anything.
    """
    squares = sum(count**2 for count in counts)
    if squares == 0:
        raise ValueError("the fairness of nothing is not defined")
    return sum(counts) ** 2 / (len(counts) * squares)


def per_node(runs: Iterable[ChunkRun], nodes: Sequence[str]) -> list[int]:
    """Chunks on each of the nodes in use, those without any included."""
    counts = Counter(run.node for run in runs)
    return [counts[node] for node in nodes]


def idle_share(runs: Sequence[ChunkRun], nodes: Sequence[str]) -> float:
    """Part of the nodes' time, first chunk's start to last one's end, in which one had no chunk."""
    begin, end = min(run.start_s for run in runs), max(run.end_s for run in runs)
    busy_s = sum(
        _covered_s([(run.start_s, run.end_s) for run in runs if run.node == node])
        for node in nodes
    )
    return 1 - busy_s / (len(nodes) * (end - begin)) if end > begin else 0.0


def _covered_s(spans: Iterable[tuple[float, float]]) -> float:
    """Length of the union of intervals."""
    total_s, reached = 0.0, float("-inf")
    for begin, end in sorted(spans):
        total_s += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return total_s


def threads(runs: Iterable[ChunkRun]) -> dict[int, int]:
    """Chunk → thread of its node, from 0 on.

    Spark names no threads: a task takes the lowest one that is free, from its first chunk's start
    to its last one's end, so that there are no more than tasks ran at a time.
    """
    tasks: dict[tuple[str, int], list[ChunkRun]] = {}
    for run in runs:
        tasks.setdefault((run.node, run.task), []).append(run)
    free_from: dict[str, list[float]] = {}
    found: dict[int, int] = {}
    for (node, _), mine in sorted(tasks.items(), key=lambda t: min(r.start_s for r in t[1])):
        begin, end = min(r.start_s for r in mine), max(r.end_s for r in mine)
        lanes = free_from.setdefault(node, [])
        lane = next((i for i, free in enumerate(lanes) if free <= begin), len(lanes))
        lanes[lane : lane + 1] = [end]
        found |= {run.chunk: lane for run in mine}
    return found


def most_at_once(runs: Iterable[ChunkRun]) -> int:
    """Chunks that ran at one time on the node where most did."""
    by_node: dict[str, list[tuple[float, int]]] = {}
    for run in runs:
        by_node.setdefault(run.node, []).extend([(run.start_s, 1), (run.end_s, -1)])
    most = 0
    for changes in by_node.values():
        now = 0
        for _, change in sorted(changes):
            now += change
            most = max(most, now)
    return most


def measures(
    runs: Sequence[ChunkRun], job: Mapping[str, Any], nodes: Sequence[str], *, classifies: bool
) -> BatchMeasures:
    """The figures of a job whose chunks are all there.

    Args:
        runs: one of each chunk.
        job: the `job` event of program `batch`.
        nodes: names of the workers in use.
        classifies: whether its chunks are classified, and not timed.
    """
    counts = per_node(runs, nodes)
    images = sum(run.images for run in runs)
    execution_s = job["ended_s"] - job["submitted_s"]
    durations = [run.duration_s for run in runs]
    return BatchMeasures(
        execution_s=execution_s,
        fairness=jain(counts),
        max_tasks_per_node=max(counts),
        max_chunks_per_partition=max(Counter(run.partition for run in runs).values()),
        nodes_used=sum(count > 0 for count in counts),
        image_rate_per_s=images / execution_s if classifies else None,
        lead_s=min(run.start_s for run in runs) - job["submitted_s"],
        chunk_mean_s=fmean(durations),
        chunk_max_s=max(durations),
        task_overhead_s=_task_overhead_s(runs, job["tasks"]),
        idle_share=idle_share(runs, nodes),
        accuracy=sum(run.correct for run in runs) / images if classifies else None,
        mismatches=sum(run.mismatches for run in runs) if classifies else None,
    )


def _task_overhead_s(runs: Iterable[ChunkRun], tasks: Iterable[Mapping[str, Any]]) -> float | None:
    """Mean over the tasks that had a chunk."""
    chunks_s: Counter[int] = Counter()
    for run in runs:
        chunks_s[run.task] += run.duration_s  # type: ignore[assignment]
    beside = [
        task["finished_s"] - task["launched_s"] - chunks_s[task["task"]]
        for task in tasks
        if task["task"] in chunks_s
    ]
    return fmean(beside) if beside else None
