"""Which provider makes, or has made, the nodes of an inventory."""

from collections.abc import Callable

from streambed.beds.podman_provider import PodmanProvider
from streambed.beds.provider import Provider
from streambed.beds.static_provider import StaticProvider
from streambed.beds.vagrant_provider import VagrantProvider
from streambed.errors import StreambedError
from streambed.inventory import Inventory

KNOWN = ("podman", "static")
"""What `bed_provider` may say; that Vagrant made a bed is noted when it does."""


def provider_of(inventory: Inventory, *, say: Callable[[str], None]) -> Provider:
    """The provider that `bed_provider` names, or Vagrant's where it made the bed.

    Raises:
        StreambedError: there is none of that name.
    """
    if inventory.provider == "podman":
        return PodmanProvider(inventory, say=say)
    if inventory.provider == "static":
        return StaticProvider(inventory)
    if inventory.provider.startswith("vagrant-"):
        return VagrantProvider(inventory, say=say)
    raise StreambedError(
        f"{inventory.path}: unknown bed_provider {inventory.provider!r}; known: {', '.join(KNOWN)}"
    )
