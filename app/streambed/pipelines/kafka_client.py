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
    from confluent_kafka import KafkaException

    try:
        found = client.list_topics(topic, timeout=timeout_s).topics.get(topic)
    except KafkaException as error:
        raise ServiceError(f"Kafka does not answer: {error.args[0].str()}") from None
    if found is None or found.error is not None or not found.partitions:
        raise ServiceError(f"topic {topic!r} does not exist")
    return len(found.partitions)


def admin(bootstrap: str, security: dict[str, Any]) -> "AdminClient":
    """An admin client."""
    from confluent_kafka.admin import AdminClient

    return AdminClient(settings(bootstrap, security))
