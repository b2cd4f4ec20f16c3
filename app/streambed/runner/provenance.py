"""What a run stands on: code, machines, limits, versions, configuration, checksums."""

import asyncio
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from streambed import __version__, paths
from streambed.artifacts import engines
from streambed.experiment.batch import BatchConfiguration
from streambed.experiment.factors import StreamingConfiguration
from streambed.experiment.placement import KAFKA_PORT
from streambed.experiment.training import TrainingConfiguration
from streambed.inventory import Inventory
from streambed.pipelines.locality import WAIT
from streambed.pipelines.training.names import EXTRAS
from streambed.results.manifest import Facts
from streambed.runner.model import DeployedModel
from streambed.runner.program import Event, Program
from streambed.runner.remote import Fleet

_DESCRIBE_TIMEOUT_S = 60.0
# Configuration that names a moment or a place, and so differs between runs that are the same.
_VOLATILE = ("spark.app.id", "spark.app.startTime", "spark.app.submitTime", "spark.driver.port")

# Configuration that a factor gives: the row tells it, and a gate has read it back.
_BY_FACTOR = ("spark.cores.max", "spark.executor.cores", "spark.ui.enabled", "spark.eventLog.")


def project() -> dict[str, Any]:
    """Commit and state of the clone; `commit` is None outside of git."""

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(paths.ROOT), *arguments],
                capture_output=True,
                text=True,
                check=False,
            )
        except FileNotFoundError:
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    status = git("status", "--porcelain", "--untracked-files=no")
    return {
        "version": __version__,
        "commit": git("rev-parse", "HEAD"),
        "dirty": None if status is None else bool(status),
    }


def controller() -> dict[str, Any]:
    """The machine that runs the experiment."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return {
        "kernel": platform.release(),
        "os": platform.freedesktop_os_release().get("PRETTY_NAME", ""),
        "cpu_model": model,
        "cores": os.cpu_count(),
        "memory_bytes": memory,
        "python": platform.python_version(),
    }


def _nodes(inventory: Inventory) -> dict[str, Any]:
    return {
        node.name: {
            "groups": sorted(node.groups),
            "cpus": node.cpus,
            "memory_bytes": node.memory_bytes,
        }
        for node in inventory.nodes
    }


def artifact_checksums() -> dict[str, str]:
    """Name and SHA-256 of every artifact, as pinned."""
    pins = yaml.safe_load((paths.ROOT / "ansible" / "artifacts.lock.yml").read_text())
    entries = pins["streambed_artifacts"].items()
    # `pins`, a plain string, stands beside the components.
    return {name: entry["sha256"] for name, entry in entries if isinstance(entry, dict)}


async def _describe(fleet: Fleet) -> dict[str, Event]:
    async def one(name: str, spec: Mapping[str, Any]) -> tuple[str, Event]:
        session = fleet.on(fleet.inventory.node(name))
        async with Program(session, "describe", spec) as program:
            return name, await program.until("done", timeout_s=_DESCRIBE_TIMEOUT_S)

    def spec(node: Any) -> dict[str, Any]:
        if "kafka_brokers" not in node.groups:
            return {}
        return {"bootstrap": f"{node.bed_address}:{KAFKA_PORT}"}

    tasks = [one(node.name, spec(node)) for node in fleet.inventory.nodes]
    return dict(await asyncio.gather(*tasks))


async def gather(fleet: Fleet) -> Facts:
    """The facts of one bed; a run adds up those of all its beds."""
    described = await _describe(fleet)
    bed = fleet.inventory.name
    nodes = {name: dict(event["node"]) for name, event in described.items()}
    packages = {name: facts.pop("packages") for name, facts in nodes.items()}
    applications = {name: facts.pop("application") for name, facts in nodes.items()}
    versions = {
        name: {key: facts.pop(key) for key in ("python", "java", "kafka", "spark", "os")}
        for name, facts in nodes.items()
    }
    kafka = {name: event["kafka"] for name, event in described.items() if event["kafka"]}
    return Facts(
        project=project(),
        controller=controller(),
        inventory={bed: _nodes(fleet.inventory)},
        nodes={bed: nodes},
        versions={
            bed: {name: versions[name] | {"packages": packages[name]} for name in versions},
            "controller": {
                name: importlib.metadata.version(name)
                for name in ("ansible-core", "asyncssh", "numpy", "scipy", "pyarrow", "altair")
            },
        },
        effective={f"kafka on {bed}": kafka},
        checksums={"artifacts": artifact_checksums(), f"application on {bed}": applications},
    )


def of_model(config: StreamingConfiguration, model: DeployedModel) -> Facts:
    """The model of a cell, by its hash."""
    name = f"{config.model} ({config.weights or 'trained'}) on {config.dataset}"
    entry = {"sha256": model.sha256, "offline_accuracy": model.offline_accuracy}
    return Facts(effective={f"model {name}": entry})


def of_spark(bed: str, config: StreamingConfiguration, effective: Mapping[str, Any]) -> Facts:
    """Spark's settings in effect on a bed, without what differs between its applications."""
    kept = {
        key: value
        for key, value in effective.items()
        if key not in _VOLATILE and not key.startswith(_BY_FACTOR)
    }
    return Facts(effective={f"spark on {bed}, {config.spark_settings} settings": kept})


def of_training(bed: str, config: TrainingConfiguration, effective: Mapping[str, Any]) -> Facts:
    """Spark's settings in effect in the application of a training."""
    kept = {key: value for key, value in effective.items() if key not in _VOLATILE}
    how = f"{config.engine} on {config.workers} workers x {config.ranks}"
    name = f"spark on {bed}, training by {how}"
    return Facts(effective={name: kept})


def of_engine(engine: str, versions: Mapping[str, str]) -> Facts:
    """What the ranks of a training say that they compute with, and which archive it is from."""
    checksums: dict[str, Any] = {}
    if engine in EXTRAS:
        artifact = engines.locked(engine)
        checksums["artifacts"] = {artifact.name: artifact.sha256}
        versions = {**versions, "artifact": artifact.file}
    return Facts(effective={f"training engine {engine}": dict(versions)}, checksums=checksums)


def of_application(bed: str, config: BatchConfiguration, effective: Mapping[str, Any]) -> Facts:
    """Spark's settings in effect in an application of a batch, without the wait of each job."""
    kept = {key: value for key, value in effective.items() if key not in (*_VOLATILE, WAIT)}
    place = "preferred node" if config.prefer_node else "any node"
    name = (
        f"spark on {bed}, {config.workers} workers of {config.threads} threads, "
        f"{config.locality_timer} timer, {place}"
    )
    return Facts(effective={name: kept})
