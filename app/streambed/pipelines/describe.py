"""`describe`: what this node is and what runs on it, for a run's manifest.

Everything is read where it takes effect (cgroup files, the broker's answer), not from what was
configured. Nothing secret is read.
"""

import importlib.metadata
import os
import platform
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streambed.pipelines import cgroup, kafka_access, kafka_client
from streambed.pipelines.protocol import Commands, emit
from streambed.pipelines.spec import parse

UNITS = (
    *("kafka", "spark-master", "spark-worker", "spark-history"),
    *("streambed-firewall", "streambed-link"),
)
_UNIT_FILES = Path("/etc/systemd/system")

_SENSITIVE = ("password", "secret", "sasl.jaas", "credential")


@dataclass(frozen=True)
class DescribeSpec:
    """`bootstrap`: also ask this broker for its effective configuration."""

    bootstrap: str | None = None


def program(raw: dict[str, Any], commands: Commands) -> None:
    """Run `describe`; ends with event `done`."""
    del commands
    spec = parse(DescribeSpec, raw)
    kafka = broker_config(spec.bootstrap) if spec.bootstrap else None
    emit("done", node=describe_node(), kafka=kafka, at=time.time())


def describe_node() -> dict[str, Any]:
    """Kernel, processor, limits and versions of this node."""
    return {
        "kernel": platform.release(),
        "os": _os_name(),
        "cpu_model": _cpu_model(),
        "cpus_of_host": os.cpu_count(),
        "cpu_quota": cgroup.cpu_quota(),
        "memory_limit_bytes": cgroup.memory_limit_bytes(),
        # A container has its host's, which is not the same everywhere: bbr here, cubic there.
        "tcp_congestion_control": cgroup.read("/proc/sys/net/ipv4/tcp_congestion_control"),
        "python": platform.python_version(),
        "java": _java_version(),
        "kafka": _link_name("/opt/kafka"),
        "spark": _link_name("/opt/spark"),
        "exposures": _exposures(),
        "application": cgroup.read("/opt/streambed/app/HASH"),
        "packages": {
            d.metadata["Name"]: d.version
            for d in sorted(importlib.metadata.distributions(), key=lambda d: d.metadata["Name"])
        },
    }


def broker_config(bootstrap: str) -> dict[str, str]:
    """The effective configuration of the first broker, without anything sensitive."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import ConfigResource, ResourceType

    client = kafka_client.admin(bootstrap)
    try:
        broker = next(iter(client.list_topics(timeout=20).brokers.values()))
        resource = ConfigResource(ResourceType.BROKER, str(broker.id))
        (future,) = client.describe_configs([resource]).values()
        entries = future.result(timeout=20)
    except KafkaException as error:
        raise kafka_access.unanswered(bootstrap, error.args[0].str()) from None
    return {
        name: entry.value
        for name, entry in sorted(entries.items())
        if entry.value is not None
        and not entry.is_sensitive
        and not any(word in name for word in _SENSITIVE)
    }


def _exposures() -> dict[str, float]:
    """Unit → how systemd rates its sandbox: 0 nothing is exposed, 10 everything."""
    units = [f"{unit}.service" for unit in UNITS]
    there = [unit for unit in units if (_UNIT_FILES / unit).exists()]
    if not there:
        return {}
    done = subprocess.run(
        ["systemd-analyze", "security", "--no-pager", *there],
        capture_output=True,
        text=True,
        check=False,
    )
    return rated(done.stdout)


def rated(text: str) -> dict[str, float]:
    """Read what `systemd-analyze security` says of each unit, at the end of its table."""
    found = re.findall(r"exposure level for (\S+)\.service: ([0-9.]+)", text)
    return {unit: float(value) for unit, value in found}


def _link_name(path: str) -> str | None:
    target = Path(path)
    return target.resolve().name if target.exists() else None


def _os_name() -> str:
    return platform.freedesktop_os_release().get("PRETTY_NAME", "")


def _cpu_model() -> str:
    for line in cgroup.read("/proc/cpuinfo").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _java_version() -> str | None:
    try:
        done = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    first, *_ = done.stderr.splitlines() or [""]
    return first or None
