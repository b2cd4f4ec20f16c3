"""One small bed for all system tests, and a cluster for those of one file.

Each is brought up once by the command line, taken down and looked after.
Everything goes through `./streambed` and the nodes themselves, as a user would do it.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.system.tools import Bed, free_prefix, leftovers, streambed, write_inventory

from streambed import paths

# Debian 12 has a Vagrant, and the launcher installs it for the tests; later releases have none.
collect_ignore = [] if shutil.which("vagrant") else ["test_7_vagrant.py"]

# The bed of the tests must not meet one that the user has up.
os.environ["STREAMBED_BED_PREFIX"] = free_prefix()
# For Ansible by hand, on inventories that do not lie in the clone.
os.environ["STREAMBED_ROOT"] = str(paths.ROOT)


@pytest.fixture(scope="session")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """A duo bed of the tests' own, up and verified; gone at the end, with nothing left behind."""
    path = write_inventory(tmp_path_factory.mktemp("inventory") / "tests", "tests")
    streambed("up", "-i", path)
    yield Bed(path)
    streambed("down", "-i", path)
    assert leftovers("tests") == []


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """A bed of six nodes of the tests' own; gone at the end."""
    nodes = [*(f"worker{number}" for number in (1, 2, 3)), "client", "broker", "master"]
    # A host's own variable, since the environment's prefix is that of the other bed.
    prefix = free_prefix()
    moved = {node: {"bed_prefix": prefix} for node in nodes}
    folder = tmp_path_factory.mktemp("cluster") / "cluster"
    path = write_inventory(folder, "test-cluster", moved, like="cluster")
    streambed("up", "-i", path)
    yield Bed(path)
    streambed("down", "-i", path)
    assert leftovers("test-cluster") == []


@pytest.fixture(scope="session")
def by_door() -> dict[str, dict[str, Any]]:
    """Door → the row of one and the same cell on a bed that came through it."""
    return {}


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the runs of the tests are kept."""
    return tmp_path_factory.mktemp("results")
