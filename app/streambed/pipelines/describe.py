"""`describe`: what this node is and what runs on it, for a run's manifest.

Everything is read where it takes effect (cgroup files, the broker's answer), not from what was
configured. Nothing secret is read.
"""

import importlib.metadata
import os
import platform
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streambed.pipelines import cgroup, kafka_client
from streambed.pipelines.errors import ServiceError
from streambed.pipelines.protocol import Commands, emit
from streambed.pipelines.spec import parse

_SENSITIVE = ("password", "secret", "sasl.jaas", "credential")


@dataclass(frozen=True)
class DescribeSpec:
    """`bootstrap`: also ask this broker for its effective configuration."""

    bootstrap: str | None = None
    security: dict[str, Any] = field(default_factory=dict)


def program(raw: dict[str, Any], commands: Commands) -> None:
    """Run `describe`; ends with event `done`."""
    del commands
    spec = parse(DescribeSpec, raw)
    kafka = broker_config(spec.bootstrap, spec.security) if spec.bootstrap else None
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
        "python": platform.python_version(),
        "java": _java_version(),
        "kafka": _link_name("/opt/kafka"),
        "spark": _link_name("/opt/spark"),
        "application": cgroup.read("/opt/streambed/app/HASH"),
        "packages": {
            d.metadata["Name"]: d.version
            for d in sorted(importlib.metadata.distributions(), key=lambda d: d.metadata["Name"])
        },
    }


def broker_config(bootstrap: str, security: dict[str, Any]) -> dict[str, str]:
    """The effective configuration of the first broker, without anything sensitive."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import ConfigResource, ResourceType

    client = kafka_client.admin(bootstrap, security)
    try:
        broker = next(iter(client.list_topics(timeout=20).brokers.values()))
        resource = ConfigResource(ResourceType.BROKER, str(broker.id))
        (future,) = client.describe_configs([resource]).values()
        entries = future.result(timeout=20)
    except KafkaException as error:
        raise ServiceError(f"Kafka does not answer: {error.args[0].str()}") from None
    return {
        name: entry.value
        for name, entry in sorted(entries.items())
        if entry.value is not None
        and not entry.is_sensitive
        and not any(word in name for word in _SENSITIVE)
    }


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
