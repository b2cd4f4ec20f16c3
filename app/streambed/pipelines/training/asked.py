"""What program `training` is asked for, and what Spark is told of it."""

import math
from dataclasses import dataclass

from streambed.pipelines import datasets, way
from streambed.pipelines.training import names
from streambed.pipelines.training.steps import Steps

_MIB = 2**20
_TASK_MIB = 16
_MOST_MESSAGE_MIB = 2047
"""What Spark takes as `spark.rpc.message.maxSize`."""


@dataclass(frozen=True)
class TrainingSpec:
    """Times in seconds, memory in Spark's notation.

    One executor on each of `executors` workers, `ranks` tasks at a time on each, which are as many
    ranks. `out` becomes the weights file, `checkpoint` what was reached after each epoch, until the
    weights are there; engine `spark-mlp` writes neither.
    """

    master_url: str
    driver_address: str
    name: str
    engine: str
    out: str
    checkpoint: str | None = None
    dataset: str = datasets.MNIST
    executors: int = 1
    ranks: int = 1
    batch_size: int = 768
    epochs: int = 15
    iterations: int | None = None
    augment: str = names.SHIFT
    seed: int = 1
    deadline_s: float = 7200.0
    start_s: float = 300.0
    stall_s: float = 60.0
    ears_port: int = 7010
    executor_memory: str = "768m"
    driver_memory: str = "640m"
    arrow_batch_images: int = way.CHUNK_IMAGES
    settings: str = way.LEAN
    driver_port: int = 7001
    driver_block_port: int = 7002
    executor_block_port: int = 7003
    executor_java_options: str | None = None
    driver_java_options: str | None = None
    event_log_dir: str | None = None
    app_name: str = "streambed-training"

    def __post_init__(self) -> None:
        way.one_of("engine", self.engine, names.ENGINES)
        way.one_of("augment", self.augment, names.AUGMENTS)
        if self.executors < 1 or self.ranks < 1:
            raise ValueError("executors and ranks must be >= 1")
        if self.engine in names.RANKED:
            Steps(1, self.slots, self.batch_size, self.epochs, self.iterations)

    @property
    def cores_per_executor(self) -> int:
        """Tasks at a time: exactly what a stretch has, so that each executor gets its share."""
        return self.ranks

    @property
    def slots(self) -> int:
        """Ranks when no worker is lost."""
        return self.executors * self.ranks


def settings(spec: TrainingSpec, images_bytes: int) -> dict[str, str]:
    """What a training sets beside the settings of every application.

    Spark would start a barrier stage again by itself, without its checkpoint, and waits for years
    for tasks at a barrier, and for ten minutes for slots that are gone.

    Args:
        spec: of the training.
        images_bytes: of all images as they are sent, those of the test set, too.
    """
    # After losses one worker's ranks may have them all.
    part_mib = images_bytes / spec.ranks / _MIB
    message_mib = min(_MOST_MESSAGE_MIB, max(128, math.ceil(1.3 * part_mib) + _TASK_MIB))
    return {
        "spark.stage.maxConsecutiveAttempts": "1",
        "spark.task.maxFailures": "1",
        "spark.barrier.sync.timeout": f"{math.ceil(spec.start_s)}s",
        "spark.scheduler.barrier.maxConcurrentTasksCheck.interval": "5s",
        "spark.scheduler.barrier.maxConcurrentTasksCheck.maxFailures": "6",
        # A rank's images travel with its task.
        "spark.rpc.message.maxSize": str(message_mib),
    }
