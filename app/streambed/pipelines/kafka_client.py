"""Settings and small helpers that every Kafka client here shares (librdkafka, imported lazily)."""

from typing import TYPE_CHECKING, Any

from streambed.pipelines.errors import ServiceError

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient


def settings(bootstrap: str, security: dict[str, Any]) -> dict[str, Any]:
    """librdkafka's settings to reach the brokers; `security` holds its own property names."""
    return {
        "bootstrap.servers": bootstrap,
        # The errors are told by the calls that meet them; repeated log lines help nobody.
        "log_level": 3,
        **security,
    }


def partitions_of(client: Any, topic: str, timeout_s: float = 20.0) -> int:
    """Number of partitions of `topic`; ServiceError when brokers or topic cannot be reached."""
    return len(_metadata(client, topic, timeout_s).topics[topic].partitions)


def leaders_of(client: Any, topic: str, timeout_s: float = 20.0) -> list[str]:
    """host:port of the brokers that lead partitions of `topic`; ServiceError as above."""
    seen = _metadata(client, topic, timeout_s)
    leaders = {partition.leader for partition in seen.topics[topic].partitions.values()}
    brokers = [broker for node, broker in seen.brokers.items() if node in leaders]
    return sorted(f"{broker.host}:{broker.port}" for broker in brokers)


def _metadata(client: Any, topic: str, timeout_s: float) -> Any:
    from confluent_kafka import KafkaException

    try:
        seen = client.list_topics(topic, timeout=timeout_s)
    except KafkaException as error:
        raise ServiceError(f"Kafka does not answer: {error.args[0].str()}") from None
    found = seen.topics.get(topic)
    if found is None or found.error is not None or not found.partitions:
        raise ServiceError(f"topic {topic!r} does not exist")
    return seen


def admin(bootstrap: str, security: dict[str, Any]) -> "AdminClient":
    """An admin client."""
    from confluent_kafka.admin import AdminClient

    return AdminClient(settings(bootstrap, security))
