"""Which provider makes the nodes of an inventory."""

from collections.abc import Callable

from streambed.beds.podman_provider import PodmanProvider
from streambed.beds.provider import Provider
from streambed.errors import StreambedError
from streambed.inventory import Inventory

KNOWN = ("podman",)


def provider_of(inventory: Inventory, *, say: Callable[[str], None]) -> Provider:
    """The provider that `bed_provider` names.

    Raises:
        StreambedError: there is none of that name.
    """
    if inventory.provider == "podman":
        return PodmanProvider(inventory, say=say)
    raise StreambedError(
        f"{inventory.path}: unknown bed_provider {inventory.provider!r}; known: {', '.join(KNOWN)}"
    )
