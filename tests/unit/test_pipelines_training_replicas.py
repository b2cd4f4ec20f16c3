"""Both replicas of a training, with stand-ins for the libraries that only nodes have."""

import importlib
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tests.ranks import job

from streambed.pipelines.training import schedule, torch_replica


def test_torch_calls_its_layers_as_the_artefact_does() -> None:
    assert torch_replica.plain_name("conv1.weight") == "conv1/W"
    assert torch_replica.plain_name("fc5.bias") == "fc5/b"
    assert torch_replica.interface_of("127.0.0.1") == "lo"
    assert torch_replica.interface_of("192.0.2.1") is None


def test_torch_tells_a_lost_rank_from_a_mistake_by_gloo_s_words() -> None:
    blames = torch_replica.blames_others
    lost = "[./gloo/transport/tcp/pair.cc:598] Connection closed by peer [127.0.0.1]:51099"
    assert blames(RuntimeError(lost))
    assert not blames(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not blames(ArithmeticError("the loss is nan after 3 updates"))


def test_torch_clips_the_gradient_when_it_is_averaged_and_before_the_step() -> None:
    did: list[Any] = []
    weights = [object()]
    loss = SimpleNamespace(backward=lambda: did.append("averaged"), item=lambda: 0.5)
    utils = SimpleNamespace(clip_grad_norm_=lambda of, most: did.append(("clipped", of, most)))
    functional = SimpleNamespace(cross_entropy=lambda *_: loss)
    replica: Any = object.__new__(torch_replica.TorchReplica)
    replica._torch = SimpleNamespace(
        from_numpy=lambda array: array, nn=SimpleNamespace(functional=functional, utils=utils)
    )
    replica._colour = False
    replica._network = SimpleNamespace(parameters=lambda: weights)
    replica._shared = lambda planes: planes
    group = {"lr": 0.0}
    replica._optimizer = SimpleNamespace(
        param_groups=[group],
        zero_grad=lambda: did.append("cleared"),
        step=lambda: did.append("stepped"),
    )
    told = replica.step(np.zeros((2, 6, 6), np.float32), np.zeros(2, np.int32), 0.1)
    clipped = ("clipped", weights, schedule.MOST_NORM)
    assert did == ["cleared", "averaged", clipped, "stepped"]
    assert (told, group["lr"]) == (0.5, 0.1)


class FakeOptimizer:
    """Chainer's own: hooks are called by its `update`, once it has a network."""

    def __init__(self, momentum: float) -> None:
        self.momentum, self.lr = momentum, 0.0
        self.target: Any = None
        self.hooks: list[Any] = []
        self.did: list[str] = []

    def setup(self, target: Any) -> None:
        self.target = target

    def add_hook(self, hook: Any) -> None:
        assert self.target is not None, "Chainer refuses a hook before `setup`"
        self.hooks.append(hook)

    def update(self, _lossfun: None) -> None:
        self.did += [type(hook).__name__ for hook in self.hooks] + ["stepped"]


class FakeShared:
    """ChainerMN's optimizer around it: the first update spreads weights, others average first."""

    def __init__(self, actual: FakeOptimizer, _communicator: Any) -> None:
        self.actual_optimizer = actual
        self._spread = False

    def setup(self, target: Any) -> None:
        self.actual_optimizer.setup(target)

    def update(self) -> None:
        if self._spread:
            self.actual_optimizer.did.append("averaged")
            self.actual_optimizer.update(None)
        self._spread = True


class FakeClipping:
    def __init__(self, threshold: float) -> None:
        self.threshold = threshold


@pytest.fixture
def chainer_replica(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module, imported with stand-ins for Chainer, ChainerMN and mpi4py."""

    def module(name: str, **content: Any) -> None:
        made = ModuleType(name)
        for key, value in content.items():
            setattr(made, key, value)
        monkeypatch.setitem(sys.modules, name, made)

    network = SimpleNamespace(cleargrads=lambda: None)
    package = "streambed.pipelines.training"
    communicator = type("NaiveCommunicator", (), {"__init__": lambda self, _: None, "size": 1})
    optimizers = SimpleNamespace(MomentumSGD=FakeOptimizer)
    module("chainer", functions=SimpleNamespace(), optimizers=optimizers)
    module("chainer.optimizer_hooks", GradientClipping=FakeClipping)
    module("chainer.serializers", NpzDeserializer=None)
    module("chainermn", create_multi_node_optimizer=FakeShared)
    for name in ("chainermn.communicators", "chainermn.communicators.naive_communicator"):
        module(name, NaiveCommunicator=communicator)
    mpi = SimpleNamespace(COMM_WORLD=None, Exception=OSError)
    module("mpi4py", MPI=mpi)
    module(f"{package}.quick_lenet5", QuickLeNet5=lambda *_: network)
    monkeypatch.delitem(sys.modules, f"{package}.chainer_replica", raising=False)
    yield importlib.import_module(f"{package}.chainer_replica")
    sys.modules.pop(f"{package}.chainer_replica", None)


def test_chainer_clips_the_gradient_when_it_is_averaged_and_before_the_step(
    chainer_replica: Any,
) -> None:
    replica = chainer_replica.ChainerReplica(job())
    own = replica._optimizer.actual_optimizer
    assert [hook.threshold for hook in own.hooks] == [schedule.MOST_NORM]
    replica.synchronise()
    assert own.did == []
    replica._optimizer.update()
    assert own.did == ["averaged", "FakeClipping", "stepped"]


def test_chainer_blames_others_for_what_mpi_says(chainer_replica: Any) -> None:
    assert chainer_replica.blames_others(OSError("MPI's own"))
    assert not chainer_replica.blames_others(ArithmeticError("the loss is nan"))
