"""`topics`: delete and create Kafka topics, and return when the brokers' metadata shows it."""

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from streambed.pipelines import kafka_client
from streambed.pipelines.errors import ServiceError
from streambed.pipelines.protocol import Commands, emit
from streambed.pipelines.spec import parse

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient


@dataclass(frozen=True)
class NewTopic:
    """A topic to create; `config` holds Kafka's own topic settings."""

    name: str
    partitions: int
    replication: int = 1
    config: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TopicsSpec:
    """`delete` happens before `create`; a topic to delete need not exist.

    `delete_prefixes` deletes every topic whose name starts with one of them.
    """

    bootstrap: str
    create: list[NewTopic] = field(default_factory=list)
    delete: list[str] = field(default_factory=list)
    delete_prefixes: list[str] = field(default_factory=list)
    timeout_s: float = 60.0
    security: dict[str, Any] = field(default_factory=dict)


def program(raw: dict[str, Any], commands: Commands) -> None:
    """Run `topics`; ends with event `done`."""
    del commands
    spec = parse(TopicsSpec, raw)
    client = kafka_client.admin(spec.bootstrap, spec.security)
    deadline = time.monotonic() + spec.timeout_s
    # A broker that has just started may not know its controller yet; a request that waits for it
    # inside of librdkafka would not look again for minutes.
    _wait_for_controller(client, deadline)
    doomed = [*spec.delete, *_with_prefixes(client, spec, deadline)]
    if doomed:
        _delete(client, doomed, deadline)
    if spec.create:
        _create(client, spec, deadline)
    emit("done", created=[t.name for t in spec.create], deleted=doomed, at=time.time())


def _wait_for_controller(client: "AdminClient", deadline: float) -> None:
    while _metadata(client, deadline).controller_id < 0:
        if time.monotonic() > deadline:
            raise ServiceError("Kafka has no controller yet")
        time.sleep(0.1)


def _with_prefixes(client: "AdminClient", spec: TopicsSpec, deadline: float) -> list[str]:
    if not spec.delete_prefixes:
        return []
    return sorted(t for t in _topics(client, deadline) if t.startswith(tuple(spec.delete_prefixes)))


def _metadata(client: "AdminClient", deadline: float) -> Any:
    from confluent_kafka import KafkaException

    try:
        return client.list_topics(timeout=_left(deadline))
    except KafkaException as error:
        raise ServiceError(f"Kafka does not answer: {error.args[0].str()}") from None


def _topics(client: "AdminClient", deadline: float) -> dict[str, Any]:
    """Metadata of every topic, by name."""
    found: dict[str, Any] = _metadata(client, deadline).topics
    return found


def _delete(client: "AdminClient", doomed: list[str], deadline: float) -> None:
    from confluent_kafka import KafkaError, KafkaException

    for name, future in client.delete_topics(doomed, operation_timeout=10).items():
        try:
            future.result(timeout=_left(deadline))
        except TimeoutError:
            raise ServiceError(f"topic {name!r} not deleted in time") from None
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise ServiceError(f"topic {name!r} not deleted: {error.args[0].str()}") from None
    _wait(client, deadline, "deleted", lambda seen: not set(doomed) & set(seen))


def _create(client: "AdminClient", spec: TopicsSpec, deadline: float) -> None:
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import NewTopic as KafkaTopic

    wanted = [
        KafkaTopic(
            t.name,
            num_partitions=t.partitions,
            replication_factor=t.replication,
            config={key: str(value) for key, value in t.config.items()},
        )
        for t in spec.create
    ]
    for name, future in client.create_topics(wanted, operation_timeout=10).items():
        try:
            future.result(timeout=_left(deadline))
        except KafkaException as error:
            raise ServiceError(f"topic {name!r} not created: {error.args[0].str()}") from None
        except TimeoutError:
            raise ServiceError(f"topic {name!r} not created in {spec.timeout_s:g} s") from None
    partitions = {t.name: t.partitions for t in spec.create}
    _wait(
        client,
        deadline,
        "ready",
        lambda seen: all(seen.get(name) == count for name, count in partitions.items()),
    )


def _wait(client: "AdminClient", deadline: float, what: str, holds: Any) -> None:
    """Ask for metadata until `holds(topic -> partitions that have a leader)`."""
    while True:
        seen = {
            name: sum(p.leader >= 0 and p.error is None for p in topic.partitions.values())
            for name, topic in _topics(client, deadline).items()
        }
        if holds(seen):
            return
        if time.monotonic() > deadline:
            raise ServiceError(f"the topics were not {what} in time; the brokers show {seen}")
        time.sleep(0.05)


def _left(deadline: float) -> float:
    return max(0.1, deadline - time.monotonic())
