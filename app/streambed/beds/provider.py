"""What makes nodes: the one interface that the bed's life needs of it."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

NodeCondition = Literal["running", "paused", "stopped", "missing"]


@dataclass(frozen=True)
class NodeState:
    """How a node stands with its provider."""

    name: str
    address: str
    condition: NodeCondition
    image: str = ""
    """What it was made from; empty when the provider does not know."""


class Provider(Protocol):
    """Makes, starts, stops and removes the nodes of one inventory.

    Every call is idempotent and may be interrupted anywhere: the next one finishes the work.
    """

    name: str

    def check(self) -> None:
        """Refuse what cannot work, before anything is created (StreambedError)."""

    def create(self) -> None:
        """Bring every node into being and start it; nodes that run are left alone."""

    def unhurried(self) -> AbstractContextManager[None]:
        """While the block runs, nodes may be without their CPU quotas; after it they have them."""

    def start(self, *nodes: str) -> None:
        """Start the named nodes."""

    def stop(self, *nodes: str) -> None:
        """Shut the named nodes down in an orderly way; what they stored stays."""

    def destroy(self) -> bool:
        """Remove everything that belongs to the bed; False when there was nothing."""

    def exists(self) -> bool:
        """Is anything of the bed there?"""

    def states(self) -> tuple[NodeState, ...]:
        """Every node of the inventory, in its order."""

    def facts(self) -> dict[str, object]:
        """What a manifest should know about where the nodes run (no secrets)."""
