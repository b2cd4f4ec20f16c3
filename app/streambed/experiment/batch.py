"""The factors of pipeline `batch` (see factor.py)."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import ClassVar

from streambed.experiment.factor import Configuration, factor
from streambed.experiment.levels import Choice, Count, Duration, Model, OrWord, PathTo
from streambed.pipelines.assignment import ASSIGNMENTS, HASH, SIZES
from streambed.pipelines.locality import SPREAD, TIMERS, ZERO_WAITS


@dataclass(frozen=True, kw_only=True)
class BatchConfiguration(Configuration):
    """Keyed chunks of a data set, evaluated by the threads of one executor per worker."""

    pipeline: ClassVar[str] = "batch"

    partitions: int = factor(
        "partitions",
        Count(most=1000),
        default=40,
        meaning="partitions that the chunks are assigned to; a thread works through one at a time",
    )
    workers: int = factor(
        "workers", Count(), default=1, meaning="Spark workers in use, with one executor each"
    )
    locality_wait_s: float = factor(
        "locality_wait",
        Duration(zero=True),
        default=3.0,
        meaning="how long a task waits for a thread of the node that has its data "
        "(spark.locality.wait)",
    )
    locality_timer: str = factor(
        "locality_timer",
        Choice(TIMERS),
        default="legacy",
        meaning="legacy: each task that is launched starts the wait anew, as published "
        "(spark.locality.wait.legacyResetOnTaskLaunch); current: Spark's own since 3.1",
    )
    zero_wait: str = factor(
        "zero_wait",
        Choice(ZERO_WAITS),
        default=SPREAD,
        meaning="what assignment `hash` does without a wait. spread: tasks have no preferred node, "
        "as published, up to Spark 2.1; prefer: they fill that node first, as Spark does since 2.2",
    )
    assignment: str = factor(
        "assignment",
        Choice(ASSIGNMENTS),
        default=HASH,
        meaning="which partition a chunk goes to. hash: Spark's hash of its key; even: in turn, "
        "input and partitions spread over the nodes; weighted: longest chunk first, likewise",
    )
    chunk_work: str = factor(
        "chunk_work",
        Choice(("model", "timed")),
        default="model",
        meaning="what a thread does with a chunk. model: classify its images; timed: sleep for "
        "`chunk_time`, which shows the scheduler's part where threads outnumber cores",
    )
    chunks: int = factor("chunks", Count(most=1000), default=40, meaning="chunks in the input")
    chunk_images: int = factor(
        "chunk_images",
        Count(),
        default=5_000,
        meaning="images that a chunk classifies: its part of the data set, over and over",
    )
    chunk_time_s: float = factor(
        "chunk_time",
        Duration(),
        default=4.5,
        meaning="how long a thread sleeps for a chunk, of chunk work `timed`",
    )
    chunk_sizes: str = factor(
        "chunk_sizes",
        Choice(SIZES),
        default="equal",
        meaning="equal, or mixed: from half of `chunk_images` or `chunk_time` to one and a half",
    )
    threads: int = factor(
        "threads", Count(most=64), default=8, meaning="tasks that an executor runs at a time"
    )
    key_seed: int = factor(
        "key_seed",
        Count(least=0, most=4_294_967_295),
        default=3,
        meaning="PYTHONHASHSEED of the Python workers, which decides the hash of a key; with 3 the "
        "fullest of 40 partitions has 3 of 40 chunks, as published",
    )
    model: str = factor(
        "model",
        Model(("mlp", "lenet5")),
        default="mlp",
        meaning="the network: built in, or the class of a Python file with `predict`",
    )
    weights: str | None = factor(
        "weights",
        OrWord("trained", PathTo("weights file")),
        default=None,
        meaning="weights of the model; trained: the testbed trains a built-in model once",
    )
    dataset: str = factor(
        "images",
        PathTo("directory of images or of IDX or NumPy files", ("mnist",)),
        default="mnist",
        meaning="the images that are cut into chunks",
    )

    @property
    def prefer_node(self) -> bool:
        """Whether tasks prefer the node that has their data.

        A partition of `even` and `weighted` is meant for a node of its own; of `hash` all are meant
        for the same one. Of one worker it makes no difference.
        """
        spread = self.assignment == HASH and not self.locality_wait_s and self.zero_wait == SPREAD
        return self.workers == 1 or not spread

    @property
    def shared(self) -> Hashable:
        """Cells with the same are jobs of one Spark application: all that is set with it.

        The wait is set with each job (pipelines/locality.py).
        """
        return (
            *(self.workers, self.threads, self.key_seed),
            *(self.locality_timer, self.prefer_node),
            *(self.model, self.weights, self.dataset),
        )

    @property
    def asked_images(self) -> int:
        """Images classified in a job."""
        return self.chunks * self.chunk_images if self.chunk_work == "model" else 0

    def contradictions(self) -> list[str]:
        """What no single level can show."""
        found = [
            f"`{name}` means nothing to chunks; allowed are `chunk_images` and `chunk_time`"
            for name, value in (("image_count", self.images), ("duration", self.duration_s))
            if value is not None
        ]
        if self.zero_wait != SPREAD and (self.locality_wait_s > 0 or self.assignment != HASH):
            found.append(
                f"`zero_wait: {self.zero_wait}` means something to `assignment: hash` with a "
                "`locality_wait` of 0 s only; allowed else is spread"
            )
        if ".py:" in self.model and self.weights is None:
            found.append(f"model {self.model!r} needs `weights`: the path of its weights file")
        return found
