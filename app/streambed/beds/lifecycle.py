"""A bed's life: create, provision, verify, remove; safe to interrupt and to repeat."""

import sys

from streambed import console, inventory
from streambed.beds import ssh
from streambed.beds.providers import provider_of
from streambed.inventory import Inventory


def create(bed: Inventory) -> None:
    provider_of(bed, say=console.say).create()
    ssh.wait_for_all(bed)


def down(bed: Inventory) -> bool:
    return provider_of(bed, say=console.say).destroy()


if __name__ == "__main__":
    {"create": create, "down": down}[sys.argv[1]](inventory.load(sys.argv[2]))
