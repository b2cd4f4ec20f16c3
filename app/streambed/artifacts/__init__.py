"""Everything that nodes need from outside, fetched once, pinned, verified on every use."""

from streambed.artifacts.ensuring import ensure, missing, select
from streambed.artifacts.pins import Artifact
from streambed.artifacts.relock import relock, relock_engine
from streambed.artifacts.show import show

__all__ = ["Artifact", "ensure", "missing", "relock", "relock_engine", "select", "show"]
