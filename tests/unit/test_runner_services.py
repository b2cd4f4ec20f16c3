"""Workers are switched by the nodes' own helper, and put back whatever happened."""

import asyncio
from typing import Any, cast

import pytest

from streambed import inventory
from streambed.inventory import Node
from streambed.runner import run, services
from streambed.runner.failure import BedFailure
from streambed.runner.remote import Fleet


class Calls:
    """A fleet whose sessions note what they are told; `dead` nodes do not answer."""

    def __init__(self, dead: str = "") -> None:
        self.inventory = inventory.load("cluster")
        self.told: dict[str, str] = {}
        self._dead = dead

    def on(self, node: Node) -> "Calls._Session":
        return self._Session(self, node)

    @property
    def fleet(self) -> Fleet:
        return cast(Fleet, self)

    class _Session:
        def __init__(self, calls: "Calls", node: Node) -> None:
            self._calls, self._node = calls, node

        async def run(self, argv: list[str], **_: Any) -> None:
            if self._node.name == self._calls._dead:
                raise BedFailure(f"{self._node.name}: gone")
            assert tuple(argv[:3]) == services.HELPER
            assert argv[4] == "spark-worker"
            self._calls.told[self._node.name] = argv[3]


def test_exactly_the_workers_of_a_cell_run() -> None:
    calls = Calls()
    used = calls.inventory.group("spark_workers")[:2]
    asyncio.run(services.use_workers(calls.fleet, used))
    assert calls.told == {"worker1": "start", "worker2": "start", "worker3": "stop"}


def test_all_workers_run_after_a_run_also_when_it_failed() -> None:
    calls = Calls()

    async def failing() -> None:
        async with run._all_workers_after(calls.fleet):
            raise KeyError("a cell")

    with pytest.raises(KeyError):
        asyncio.run(failing())
    assert calls.told == dict.fromkeys(("worker1", "worker2", "worker3"), "start")


def test_a_node_that_is_gone_hides_nothing() -> None:
    calls = Calls(dead="worker2")

    async def ending() -> str:
        async with run._all_workers_after(calls.fleet):
            return "rows"

    assert asyncio.run(ending()) == "rows"
    assert calls.told == {"worker1": "start", "worker3": "start"}
