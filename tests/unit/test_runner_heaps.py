"""Collections in the background of a long cell: kept, told when they fail, gone with the cell."""

import asyncio
import json
from pathlib import Path
from typing import Any, cast

import pytest

from streambed import inventory
from streambed.inventory import Node
from streambed.results.heaps import FILE, read
from streambed.runner import heaps
from streambed.runner.failure import BedFailure, CellFailure
from streambed.runner.remote import Completed, Fleet

BED = inventory.load("duo")


class Asked:
    """A fleet whose node `cloud` has a broker that holds a byte more each time, up to `answers`."""

    def __init__(self, answers: int = 1000) -> None:
        self.times = 0
        self.once, self.thrice = asyncio.Event(), asyncio.Event()
        self._answers = answers

    def on(self, node: Node) -> "Asked._Session":
        return self._Session(self, node)

    class _Session:
        def __init__(self, asked: "Asked", node: Node) -> None:
            self._asked, self._node = asked, node

        async def run(self, argv: list[str], **_: Any) -> Completed:
            assert argv == [*heaps.HELPER, "collect"]
            if self._node.name != "cloud":
                return Completed(0, "[]", "")
            self._asked.times += 1
            if self._asked.times > self._asked._answers:
                raise BedFailure("cloud: gone")
            self._asked.once.set()
            if self._asked.times == 4:  # and what was answered before is noted
                self._asked.thrice.set()
            jvm = {"command": ["java", "kafka.Kafka"], "live_bytes": self._asked.times}
            return Completed(0, json.dumps([jvm]), "")


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heaps, "EVERY_S", 0.02)


async def cell(asked: Asked, directory: Path, error: Exception | None = None) -> None:
    """One that lasts until there were three collections, or fails then."""
    async with heaps.collected(cast(Fleet, asked), BED.nodes, directory, after_s=0.0):
        await asked.thrice.wait()
        if error is not None:
            raise error


def test_what_was_alive_is_kept_minute_by_minute(tmp_path: Path) -> None:
    asyncio.run(cell(Asked(), tmp_path))
    ((where, (at_s, held)),) = read(tmp_path / FILE).items()
    assert where == ("cloud", "broker")
    assert held.tolist()[:3] == [1, 2, 3]
    assert (at_s[1:] > at_s[:-1]).all()


def test_a_short_cell_is_left_alone(tmp_path: Path) -> None:
    asked = Asked()

    async def short() -> None:
        async with heaps.collected(cast(Fleet, asked), BED.nodes, tmp_path):
            await asyncio.sleep(0.1)

    asyncio.run(short())
    assert asked.times == 0
    assert list(tmp_path.iterdir()) == []


def test_a_node_that_does_not_answer_ends_the_cell_at_once_and_what_was_seen_stays(
    tmp_path: Path,
) -> None:
    with pytest.raises(BedFailure, match="cloud: gone"):
        asyncio.run(asyncio.wait_for(cell(Asked(answers=2), tmp_path), 10))
    assert len(read(tmp_path / FILE)["cloud", "broker"][0]) == 2


def test_the_failure_of_a_cell_is_its_own(tmp_path: Path) -> None:
    with pytest.raises(CellFailure, match="the producer ended"):
        asyncio.run(cell(Asked(), tmp_path, CellFailure("the producer ended")))
    assert len(read(tmp_path / FILE)["cloud", "broker"][0]) >= 3


def test_an_interrupt_ends_collections_too(tmp_path: Path) -> None:
    asked = Asked()

    async def interrupted() -> None:
        running = asyncio.create_task(cell(asked, tmp_path))
        await asked.once.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(interrupted())
