"""Engine `torch`: LeNet-5 in PyTorch, averaged by gloo; TorchDistributor starts the ranks.

The layers are those of models.LeNet5, and so are the shapes of their weights: the artefact of one
engine is that of the other.
"""

import datetime as dt
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from streambed.pipelines import spark_session
from streambed.pipelines.training import state
from streambed.pipelines.training.job import RankJob
from streambed.pipelines.training.schedule import MOMENTUM, MOST_NORM
from streambed.pipelines.training.state import Arrays
from streambed.pipelines.worker import ADDRESS

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LAYERS = ("conv1", "conv2", "fc3", "fc4", "fc5")
_PLAIN = {"weight": "W", "bias": "b"}


def plain_name(parameter: str) -> str:
    """`conv1.weight` as the artefact calls it, `conv1/W`."""
    layer, _, kind = parameter.partition(".")
    return f"{layer}/{_PLAIN[kind]}"


def _network(image_shape: tuple[int, ...], classes: int) -> Any:
    """A fresh network, by torch's global random state; initial weights as Chainer draws them."""
    import torch
    from torch import nn

    channels = image_shape[2] if len(image_shape) == 3 else 1
    pooled = [-(-(-(-side // 2) - 4) // 2) for side in image_shape[:2]]
    layers = nn.Sequential()
    layers.add_module("conv1", nn.Conv2d(channels, 6, 5, padding=2))
    layers.add_module("relu1", nn.ReLU())
    layers.add_module("pool1", nn.MaxPool2d(2, ceil_mode=True))
    layers.add_module("conv2", nn.Conv2d(6, 16, 5))
    layers.add_module("relu2", nn.ReLU())
    layers.add_module("pool2", nn.MaxPool2d(2, ceil_mode=True))
    layers.add_module("flat", nn.Flatten())
    layers.add_module("fc3", nn.Linear(16 * pooled[0] * pooled[1], 120))
    layers.add_module("relu3", nn.ReLU())
    layers.add_module("fc4", nn.Linear(120, 84))
    layers.add_module("relu4", nn.ReLU())
    layers.add_module("fc5", nn.Linear(84, classes))
    with torch.no_grad():
        for name, parameter in layers.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
            else:
                parameter.normal_(std=parameter[0].numel() ** -0.5)
    return layers


class TorchReplica:
    """The replica of replica.py, for ranks that torchrun started."""

    def __init__(self, job: RankJob) -> None:
        import torch
        from torch import distributed

        torch.set_num_threads(1)
        timeout = dt.timedelta(seconds=max(job.start_s, job.stall_s))
        distributed.init_process_group("gloo", timeout=timeout)
        self._torch, self._distributed = torch, distributed
        if self.ranks != job.ranks:
            raise ValueError(f"torchrun has {self.ranks} ranks, {job.ranks} were asked for")
        torch.manual_seed(job.seed)
        self._colour = len(job.image_shape) == 3
        self._network = _network(job.image_shape, job.classes)
        self._shared: Any = None
        self._optimizer = torch.optim.SGD(self._network.parameters(), lr=0.0, momentum=MOMENTUM)

    @property
    def rank(self) -> int:
        """Which one: 0 ... ranks - 1."""
        return int(self._distributed.get_rank())

    @property
    def ranks(self) -> int:
        """How many there are."""
        return int(self._distributed.get_world_size())

    @property
    def versions(self) -> dict[str, str]:
        """What does the work, by name."""
        return {
            "engine": "torch",
            "torch": str(self._torch.__version__),
            "backend": str(self._distributed.get_backend()),
        }

    @property
    def waited_s(self) -> None:
        """Gradients are sent while others are still being worked out."""
        return None

    def synchronise(self) -> None:
        """Give all ranks the weights of rank 0, as wrapping the network does."""
        from torch.nn.parallel import DistributedDataParallel

        self._shared = DistributedDataParallel(self._network)

    def _planes(self, images: npt.NDArray[np.float32]) -> Any:
        tensor = self._torch.from_numpy(images)
        return tensor.permute(0, 3, 1, 2) if self._colour else tensor[:, None]

    def step(
        self, images: npt.NDArray[np.float32], labels: npt.NDArray[np.int32], step_size: float
    ) -> float:
        """One update by the mean gradient of all ranks; the mean loss of this rank's images."""
        for group in self._optimizer.param_groups:
            group["lr"] = step_size
        self._optimizer.zero_grad()
        right = self._torch.from_numpy(labels.astype(np.int64))
        loss = self._torch.nn.functional.cross_entropy(self._shared(self._planes(images)), right)
        # Gradients are averaged over all ranks when this returns.
        loss.backward()
        self._torch.nn.utils.clip_grad_norm_(self._network.parameters(), MOST_NORM)
        self._optimizer.step()
        return float(loss.item())

    def scores(self, images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Scores before softmax, float32[n, classes]."""
        with self._torch.no_grad():
            found: npt.NDArray[np.float32] = self._network(self._planes(images)).numpy()
        return found

    def total(self, values: Sequence[float]) -> list[float]:
        """Each value summed over all ranks."""
        sums = self._torch.tensor(list(values), dtype=self._torch.float64)
        self._distributed.all_reduce(sums)
        return [float(value) for value in sums]

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Weights and momentum, named as in state.py."""
        found: dict[str, npt.NDArray[Any]] = {}
        for name, parameter in self._network.named_parameters():
            plain = plain_name(name)
            found[state.WEIGHTS + plain] = parameter.detach().numpy().copy()
            velocity = self._optimizer.state[parameter].get("momentum_buffer")
            if velocity is not None:
                found[state.MOMENTUM + plain] = velocity.numpy().copy()
        return found

    def restore(self, arrays: Arrays) -> None:
        """Go on from such a state."""
        for name, parameter in self._network.named_parameters():
            plain = plain_name(name)
            parameter.data.copy_(self._torch.from_numpy(arrays[state.WEIGHTS + plain]))
            velocity = arrays.get(state.MOMENTUM + plain)
            if velocity is not None:
                buffer = self._torch.from_numpy(velocity)
                self._optimizer.state[parameter]["momentum_buffer"] = buffer


def blames_others(error: Exception) -> bool:
    """Whether an error says that another rank, or the way to it, is lost.

    gloo's errors are plain RuntimeErrors that name its source files.
    """
    return isinstance(error, RuntimeError) and "gloo" in str(error).lower()


def interface_of(address: str) -> str | None:
    """The network interface that has this IPv4 address; None when none has."""
    import psutil

    for name, entries in psutil.net_if_addrs().items():
        if any(entry.address == address for entry in entries):
            return str(name)
    return None


def be_a_rank(text: str) -> None:
    """What TorchDistributor runs in a process for each rank; `text` is the job as JSON."""
    from streambed.pipelines.training import rank, shards

    job = RankJob.of_json(text)
    found = interface_of(os.environ.get(ADDRESS, ""))
    if found is not None:
        # Otherwise gloo takes what the host's name is looked up to, which may be the loopback.
        os.environ["GLOO_SOCKET_IFNAME"] = found
    rank.work(job, TorchReplica, [shards.folder_of(job.shards)], blames_others)


def launch(session: "SparkSession", job: RankJob, deadline_s: float) -> None:
    """Start all ranks of a job and return when they have ended.

    Its ranks end themselves when nothing moves; who waits for them cancels the Spark job at
    `deadline_s` (supervise.py).

    Raises:
        ServiceError: a rank failed or was lost.
    """
    del session, deadline_s
    from pyspark.ml.torch.distributor import TorchDistributor

    distributor = TorchDistributor(num_processes=job.ranks, local_mode=False, use_gpu=False)
    spark_session.calling(lambda: distributor.run(be_a_rank, job.to_json()), "the ranks ended")
