"""Nodes that are machines already: neither made nor removed here, only reached over SSH."""

from contextlib import AbstractContextManager, nullcontext
from typing import NoReturn

from streambed.beds import ssh
from streambed.beds.provider import NodeState
from streambed.errors import StreambedError
from streambed.inventory import Inventory


def reached(inventory: Inventory) -> tuple[NodeState, ...]:
    """Every node, running when it lets us in: more cannot be known from outside."""
    answers = ssh.answering(inventory)
    return tuple(
        NodeState(node.name, node.address, "running" if answers[node.name] else "stopped")
        for node in inventory.nodes
    )


class StaticProvider:
    """Machines of a lab.

    Args:
        inventory: the bed.
    """

    name = "static"

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory

    def check(self) -> None:
        """The preflight role judges the machines themselves."""

    def create(self) -> None:
        """They are there; whoever waits for them next says which does not answer."""

    def unhurried(self) -> AbstractContextManager[None]:
        """They have no quotas."""
        return nullcontext()

    def start(self, *nodes: str) -> None:
        self._refuse("start", nodes)

    def stop(self, *nodes: str) -> None:
        self._refuse("stop", nodes)

    def _refuse(self, verb: str, nodes: tuple[str, ...]) -> NoReturn:
        raise StreambedError(
            f"bed {self._inventory.name}: {', '.join(nodes)} cannot be made to {verb} from here",
            hint="its inventory says `bed_provider: static`: the machines are somebody else's",
        )

    def destroy(self) -> bool:
        raise StreambedError(
            f"bed {self._inventory.name} is made of machines that Streambed did not make",
            hint="ansible-playbook -i "
            f"{self._inventory.path} ansible/teardown.yml leaves them as they were",
        )

    def exists(self) -> bool:
        return True

    def states(self) -> tuple[NodeState, ...]:
        return reached(self._inventory)

    def facts(self) -> dict[str, object]:
        return {"provider": self.name}
