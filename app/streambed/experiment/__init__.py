"""Experiments: read and check a file, list its cells, plan what a run would do."""

from streambed.experiment.cells import Cell, cells
from streambed.experiment.experiment import Experiment, find, load
from streambed.experiment.order import Execution, order
from streambed.experiment.overrides import Overrides

__all__ = ["Cell", "Execution", "Experiment", "Overrides", "cells", "find", "load", "order"]
