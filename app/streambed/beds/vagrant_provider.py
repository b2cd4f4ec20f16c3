"""Nodes that Vagrant made: seen and reached from here, made and removed by Vagrant alone."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import NoReturn

from streambed import paths
from streambed.beds.podman_provider import PodmanProvider
from streambed.beds.provider import NodeState
from streambed.beds.static_provider import reached
from streambed.errors import StreambedError
from streambed.inventory import Inventory

DEFAULT_BED = paths.ROOT / "inventory" / "duo"


def command(inventory: Inventory, words: str) -> str:
    """What a user types for a bed: `vagrant up`, after the bed unless it is the default."""
    bed = "" if inventory.path == DEFAULT_BED else f"STREAMBED_BED={inventory.path} "
    return f"{bed}vagrant {words}"


class VagrantProvider:
    """Machines that the Vagrantfile made of this inventory.

    Args:
        inventory: the bed; its `provider` is `vagrant-` and the name of Vagrant's provider.
        say: told what happens, one line each.
    """

    def __init__(self, inventory: Inventory, *, say: Callable[[str], None]) -> None:
        self.name = inventory.provider
        self._inventory = inventory
        self._containers = PodmanProvider(inventory, say=say) if inventory.in_containers else None

    def check(self) -> None:
        """Vagrant has checked what it needed when it made them."""

    def create(self) -> None:
        for state in self.states():
            if state.condition == "paused":  # by a run that was killed: Vagrant would not know
                self.thaw(state.name)
        absent = [state.name for state in self.states() if state.condition != "running"]
        if absent:
            raise StreambedError(
                f"bed {self._inventory.name} was made by vagrant: {', '.join(absent)} not running",
                hint=command(self._inventory, "up"),
            )

    def unhurried(self) -> AbstractContextManager[None]:
        """Machines of their own keep what they were made with."""
        return nullcontext() if self._containers is None else self._containers.unhurried()

    def start(self, *nodes: str) -> None:
        if self._containers is None:
            self._leave_to_vagrant("up")
        self._containers.start(*nodes)

    def stop(self, *nodes: str) -> None:
        if self._containers is None:
            self._leave_to_vagrant("halt")
        self._containers.stop(*nodes)

    def freeze(self, node: str) -> None:
        """Stop the node's time: every process of it stands still."""
        if self._containers is None:
            self._leave_to_vagrant("suspend")
        self._containers.freeze(node)

    def thaw(self, node: str) -> None:
        """Let a frozen node go on."""
        if self._containers is None:
            self._leave_to_vagrant("resume")
        self._containers.thaw(node)

    def destroy(self) -> bool:
        self._leave_to_vagrant("destroy -f")

    def _leave_to_vagrant(self, words: str) -> NoReturn:
        raise StreambedError(
            f"bed {self._inventory.name} was made by vagrant",
            hint=command(self._inventory, words),
        )

    def exists(self) -> bool:
        return any(state.condition != "missing" for state in self.states())

    def states(self) -> tuple[NodeState, ...]:
        return reached(self._inventory) if self._containers is None else self._containers.states()

    def facts(self) -> dict[str, object]:
        more = {} if self._containers is None else self._containers.facts()
        return {**more, "provider": self.name}
