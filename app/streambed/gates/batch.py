"""Gates 2 and 6 for a batch: every chunk was done once, where and as the cell's factors say."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from streambed.gates.reading import Reading
from streambed.results.chunks import ChunkRun
from streambed.results.spread import most_at_once

SERVED_SHORT = 0.999
"""A sleep may end this much early by the wall clock, which is not what it is measured with."""


def every_chunk_once(runs: Sequence[ChunkRun], chunks: int) -> Reading:
    """By number: 0 ... chunks - 1, each once, and no other."""
    counts = Counter(run.chunk for run in runs)
    wrong = [c for c in range(chunks) if counts[c] != 1] + [c for c in counts if c >= chunks]
    return Reading(
        "chunks_done",
        ok=not wrong,
        measured=f"{chunks - sum(c < chunks for c in wrong)} of {chunks}"
        + (f", not chunk {', '.join(map(str, sorted(wrong)))}" if wrong else ""),
        expected="each chunk once, and no other",
    )


def images_classified(runs: Sequence[ChunkRun], images: int) -> Reading:
    """The sum over the chunks; 0 where they are timed."""
    seen = sum(run.images for run in runs)
    return Reading("images_processed", ok=seen == images, measured=seen, expected=f"{images}")


def labels(runs: Sequence[ChunkRun], min_accuracy: float | None) -> list[Reading]:
    """What the chunks found comparing labels with the model's own, offline, and the right ones."""
    images = sum(run.images for run in runs)
    mismatches = sum(run.mismatches for run in runs)
    readings = [
        Reading(
            "labels_as_offline",
            ok=mismatches == 0,
            measured=mismatches,
            expected="0 labels other than the model's own, computed offline",
        )
    ]
    if min_accuracy is not None:
        accuracy = sum(run.correct for run in runs) / images if images else 0.0
        readings.append(
            Reading(
                "accuracy",
                ok=accuracy >= min_accuracy,
                measured=round(accuracy, 4),
                expected=f"at least {min_accuracy:g}",
            )
        )
    return readings


def served(runs: Sequence[ChunkRun], service_s: Mapping[int, float]) -> Reading:
    """`chunk_work: timed`: each chunk took its time, `service_s` by chunk."""
    short = [run for run in runs if run.duration_s < SERVED_SHORT * service_s[run.chunk]]
    least = min((run.duration_s for run in runs), default=0.0)
    return Reading(
        "chunks_timed",
        ok=bool(runs) and not short,
        measured=round(least, 3),
        expected="each chunk at least its set time; measured is the shortest",
        unit="s",
    )


def partitions_act(asked: int, tasks: Sequence[Mapping[str, Any]]) -> Reading:
    """`partitions`: those whose task succeeded, by the event log."""
    done = {task["partition"] for task in tasks if task["kind"] == "result" and task["ok"]}
    return Reading(
        "partitions_act",
        ok=done == set(range(asked)),
        measured=f"{len(done)} partitions",
        expected=f"{asked} partitions, each a task that succeeded",
    )


def assignment_acts(runs: Sequence[ChunkRun], expected: Sequence[int]) -> Reading:
    """`assignment`: the partition that each chunk was in, against the one worked out here."""
    wrong = [run.chunk for run in runs if run.partition != expected[run.chunk]]
    fullest = max(Counter(run.partition for run in runs).values(), default=0)
    return Reading(
        "assignment_acts",
        ok=not wrong,
        measured=f"{len(wrong)} chunks elsewhere; {fullest} chunks in the fullest partition",
        expected="every chunk in the partition that the assignment gives it",
    )


def settings_act(wanted: Mapping[str, str], effective: Mapping[str, str | None]) -> Reading:
    """`locality_wait`, `locality_timer`, `zero_wait`: Spark's settings, read back after the job."""
    found = {name: effective.get(name) for name in wanted}
    return Reading(
        "settings_act",
        ok=found == dict(wanted),
        measured=_words(found),
        expected=_words(wanted),
    )


def threads_kept(runs: Sequence[ChunkRun], threads: int) -> Reading:
    """`threads`: no node worked on more chunks at a time, as the chunks say."""
    most = most_at_once(runs)
    return Reading(
        "threads_kept",
        ok=0 < most <= threads,
        measured=most,
        expected=f"at most {threads} chunks at a time on a node",
    )


def hosts_agree(runs: Sequence[ChunkRun]) -> Reading:
    """What a chunk calls its host and where the event log has its task are the same machine."""
    pairs = {(run.host, run.node) for run in runs}
    agree = len(pairs) == len({host for host, _ in pairs}) == len({node for _, node in pairs})
    return Reading(
        "hosts_agree",
        ok=bool(runs) and agree,
        measured=", ".join(f"{host} is {node}" for host, node in sorted(pairs)),
        expected="one host for each node",
    )


def chunks_outlast_wait(runs: Sequence[ChunkRun], wait_s: float) -> Reading:
    """Whether the published way of spreading can show: chunks longer than the locality wait."""
    least = min((run.duration_s for run in runs), default=0.0)
    return Reading(
        "chunks_outlast_wait",
        ok=least > wait_s,
        measured=round(least, 3),
        expected=f"more than the locality wait, {wait_s:g}",
        unit="s",
        flag="not_representative",
    )


def nothing_repeated(runs: Sequence[ChunkRun], tasks: Sequence[Mapping[str, Any]]) -> Reading:
    """Spark tried nothing again: neither a chunk's task, nor another one, nor a whole stage."""
    words = []
    again = sorted(run.chunk for run in runs if run.attempt > 0)
    if again:
        words.append(f"chunks {', '.join(map(str, again))} in a later attempt")
    failed = sum(not task["ok"] for task in tasks)
    if failed:
        words.append(f"failed tasks: {failed}")
    repeated = {task["stage"] for task in tasks if task["stage_attempt"] > 0}
    if repeated:
        words.append(f"repeated stages: {len(repeated)}")
    return Reading(
        "nothing_repeated",
        ok=not words,
        measured="; ".join(words) or "nothing",
        expected="no task failed, none was tried again",
        flag="disturbed",
    )


def _words(settings: Mapping[str, str | None]) -> str:
    return ", ".join(f"{name.removeprefix('spark.')} {value}" for name, value in settings.items())
