"""How programs on this node reach its Kafka: one reading of its files for two client libraries.

librdkafka has no request for the quorum and none for moving replicas; kafka-python has both.
"""

import json
from pathlib import Path
from typing import Any

PROPERTIES = Path("/etc/kafka/client.properties")
CLUSTER = Path("/etc/kafka/cluster.json")

_OF_KAFKA_PYTHON = {
    "bootstrap.servers": "bootstrap_servers",
    "security.protocol": "security_protocol",
    "sasl.mechanism": "sasl_mechanism",
    "sasl.mechanisms": "sasl_mechanism",
    "sasl.username": "sasl_plain_username",
    "sasl.password": "sasl_plain_password",
    "ssl.ca.location": "ssl_cafile",
    "ssl.certificate.location": "ssl_certfile",
    "ssl.key.location": "ssl_keyfile",
}


def properties(path: Path = PROPERTIES) -> dict[str, str]:
    """A properties file, as librdkafka takes it."""
    lines = [line.strip() for line in path.read_text().splitlines()]
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def cluster(path: Path = CLUSTER) -> dict[str, Any]:
    """What this node's cluster is made of: see the template cluster.json.j2."""
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def for_kafka_python(settings: dict[str, str]) -> dict[str, Any]:
    """The same settings under the names that kafka-python has for them."""
    found: dict[str, Any] = {
        _OF_KAFKA_PYTHON[name]: value
        for name, value in settings.items()
        if name in _OF_KAFKA_PYTHON
    }
    found["bootstrap_servers"] = found["bootstrap_servers"].split(",")
    return found


def admin(settings: dict[str, str]) -> Any:
    """confluent-kafka's admin client; errors are told by the calls that meet them."""
    from confluent_kafka.admin import AdminClient

    quiet = {"reconnect.backoff.max.ms": 200, "error_cb": lambda _: None, "log_level": 0}
    return AdminClient({**settings, **quiet})


def kafka_python_admin(settings: dict[str, str]) -> Any:
    """kafka-python's admin client."""
    from kafka.admin import KafkaAdminClient

    return KafkaAdminClient(**for_kafka_python(settings), bootstrap_timeout_ms=5000)


def set_for_all_brokers(settings: dict[str, str], name: str, value: str) -> None:
    """Set a configuration of the cluster; RuntimeError says why Kafka refuses."""
    from kafka.admin import AlterConfigOp, ConfigResourceType
    from kafka.protocol.admin import IncrementalAlterConfigsRequest

    # Neither library has a call for it: each takes the number of one broker.
    entry = (name, AlterConfigOp.SET.value, value)
    request = IncrementalAlterConfigsRequest(
        resources=[(ConfigResourceType.BROKER.value, "", [entry])], validate_only=False
    )
    client = kafka_python_admin(settings)
    manager = client._manager  # noqa: SLF001

    async def ask() -> Any:
        return await manager.send(request)

    try:
        (answer,) = manager.run(ask).responses
    finally:
        client.close()
    if answer.error_code:
        raise RuntimeError(answer.error_message or f"error {answer.error_code}")


def lacking(metadata: Any, topic: str | None = None) -> list[str]:
    """Partitions that have no leader, or a replica that is not in sync: `topic-partition`.

    Args:
        metadata: confluent-kafka's ClusterMetadata of all topics.
        topic: the only one to look at; None: all of them.
    """
    return sorted(
        f"{name}-{number}"
        for name, found in metadata.topics.items()
        for number, partition in found.partitions.items()
        if topic in (None, name)
        if partition.leader < 0 or set(partition.isrs) != set(partition.replicas)
    )
