"""What the brokers hold of a topic: asked of themselves, whichever client sent it."""

from typing import Any

from streambed.pipelines import kafka_access


def stored_bytes(bootstrap: str, topic: str) -> dict[str, dict[str, int]]:
    """Size of every replica of `topic`: broker (host:port) → partition → bytes of its log.

    Raises:
        ServiceError: the brokers do not answer.
    """
    # librdkafka's admin client cannot ask for this.
    from kafka.admin import KafkaAdminClient
    from kafka.errors import KafkaError

    access = kafka_access.of(bootstrap, kafka_access.ADMIN)
    try:
        admin = KafkaAdminClient(**access.kafka_python())
        try:
            brokers = admin.describe_cluster()["brokers"]
            answers = admin.describe_log_dirs([topic])
        finally:
            admin.close()
    except KafkaError as error:
        raise kafka_access.unanswered(bootstrap, error) from None
    names = {broker["broker_id"]: f"{broker['host']}:{broker['port']}" for broker in brokers}
    return {names[answer["broker"]]: sizes_of(answer["log_dirs"], topic) for answer in answers}


def sizes_of(log_dirs: list[dict[str, Any]], topic: str) -> dict[str, int]:
    """Partition → bytes of `topic` in one broker's answer (DescribeLogDirs)."""
    return {
        str(partition["partition_index"]): int(partition["partition_size"])
        for log_dir in log_dirs
        for entry in log_dir["topics"]
        if entry["name"] == topic
        for partition in entry["partitions"]
    }
