"""Everything that nodes need from outside, fetched once, pinned, verified on every use."""

from streambed.artifacts.ensuring import ensure, lock, select
from streambed.artifacts.pins import Artifact
from streambed.artifacts.show import show

__all__ = ["Artifact", "ensure", "lock", "select", "show"]
