"""Everything that nodes need from outside, fetched once, pinned, verified on every use."""

from streambed.artifacts.ensuring import ensure, missing, select
from streambed.artifacts.pins import Artifact
from streambed.artifacts.relock import relock
from streambed.artifacts.show import show

__all__ = ["Artifact", "ensure", "missing", "relock", "select", "show"]
