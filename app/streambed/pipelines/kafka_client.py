"""Settings and small helpers that every Kafka client here shares (librdkafka, imported lazily)."""

from typing import TYPE_CHECKING, Any

from streambed.pipelines import kafka_access
from streambed.pipelines.errors import ServiceError

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient


def settings(bootstrap: str, user: str) -> dict[str, Any]:
    """librdkafka's settings to reach the brokers as one of the accounts of kafka_access.py."""
    return {
        **kafka_access.of(bootstrap, user).librdkafka(),
        # The errors are told by the calls that meet them; repeated log lines help nobody.
        "log_level": 3,
    }


def bulk_settings(bootstrap: str, group: str) -> dict[str, Any]:
    """Of a consumer that reads what is stored, fast: assigned by hand, from the beginning.

    Few, large requests, always one ahead of what is being worked on. The client wants the name of
    a group, which takes no part.
    """
    return {
        **settings(bootstrap, kafka_access.CLASSIFIER),
        "group.id": group,
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "max.partition.fetch.bytes": 8_388_608,
        "fetch.max.bytes": 52_428_800,
        "queued.min.messages": 20_000,
        "queued.max.messages.kbytes": 65_536,
        # By itself the library looks again a second after its queue was full.
        "fetch.queue.backoff.ms": 10,
        "socket.receive.buffer.bytes": 1_048_576,
    }


def client() -> str:
    """Name and version of the library: `confluent-kafka 2.16.1 (librdkafka 2.16.1)`."""
    from confluent_kafka import libversion, version

    return f"confluent-kafka {version()} (librdkafka {libversion()[0]})"


def partitions_of(client: Any, bootstrap: str, topic: str, timeout_s: float = 20.0) -> int:
    """Number of partitions of `topic`; ServiceError when brokers or topic cannot be reached."""
    return len(metadata_of(client, bootstrap, topic, timeout_s).topics[topic].partitions)


def leaders_of(client: Any, bootstrap: str, topic: str, timeout_s: float = 20.0) -> list[str]:
    """host:port of the brokers that lead partitions of `topic`; ServiceError as above."""
    seen = metadata_of(client, bootstrap, topic, timeout_s)
    leaders = {partition.leader for partition in seen.topics[topic].partitions.values()}
    brokers = [broker for node, broker in seen.brokers.items() if node in leaders]
    return sorted(f"{broker.host}:{broker.port}" for broker in brokers)


def metadata_of(client: Any, bootstrap: str, topic: str, timeout_s: float = 20.0) -> Any:
    """confluent-kafka's ClusterMetadata of one topic; ServiceError when it cannot be had."""
    from confluent_kafka import KafkaException

    try:
        seen = client.list_topics(topic, timeout=timeout_s)
    except KafkaException as error:
        raise kafka_access.unanswered(bootstrap, error.args[0].str()) from None
    found = seen.topics.get(topic)
    if found is None or found.error is not None or not found.partitions:
        raise ServiceError(f"topic {topic!r} does not exist")
    return seen


def admin(bootstrap: str) -> "AdminClient":
    """A client of the account that manages topics and reads results."""
    from confluent_kafka.admin import AdminClient

    return AdminClient(settings(bootstrap, kafka_access.ADMIN))
