"""`topics`: delete and create Kafka topics, and return when the brokers' metadata shows it."""

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from streambed.pipelines import kafka_access, kafka_client
from streambed.pipelines.errors import ServiceError
from streambed.pipelines.protocol import Commands, emit
from streambed.pipelines.spec import parse

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient


@dataclass(frozen=True)
class NewTopic:
    """A topic to create; `config` holds Kafka's own topic settings.

    `brokers`: host:port of those that hold it, each led by them in turn; empty lets Kafka choose.
    """

    name: str
    partitions: int
    replication: int = 1
    config: dict[str, Any] = field(default_factory=dict)
    brokers: list[str] = field(default_factory=list)


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


def program(raw: dict[str, Any], commands: Commands) -> None:
    """Run `topics`; ends with event `done`."""
    del commands
    spec = parse(TopicsSpec, raw)
    client = kafka_client.admin(spec.bootstrap)
    deadline = time.monotonic() + spec.timeout_s
    # A broker that has just started may not know its controller yet; a request that waits for it
    # inside of librdkafka would not look again for minutes.
    _wait_for_controller(client, spec, deadline)
    doomed = [*spec.delete, *_with_prefixes(client, spec, deadline)]
    if doomed:
        _delete(client, spec, doomed, deadline)
    if spec.create:
        _create(client, spec, deadline)
    emit("done", created=[t.name for t in spec.create], deleted=doomed, at=time.time())


def _wait_for_controller(client: "AdminClient", spec: TopicsSpec, deadline: float) -> None:
    while _metadata(client, spec, deadline).controller_id < 0:
        if time.monotonic() > deadline:
            raise ServiceError("Kafka has no controller yet")
        time.sleep(0.1)


def _with_prefixes(client: "AdminClient", spec: TopicsSpec, deadline: float) -> list[str]:
    if not spec.delete_prefixes:
        return []
    return sorted(
        t for t in _topics(client, spec, deadline) if t.startswith(tuple(spec.delete_prefixes))
    )


def _metadata(client: "AdminClient", spec: TopicsSpec, deadline: float) -> Any:
    from confluent_kafka import KafkaException

    try:
        return client.list_topics(timeout=_left(deadline))
    except KafkaException as error:
        raise kafka_access.unanswered(spec.bootstrap, error.args[0].str()) from None


def _topics(client: "AdminClient", spec: TopicsSpec, deadline: float) -> dict[str, Any]:
    """Metadata of every topic, by name."""
    found: dict[str, Any] = _metadata(client, spec, deadline).topics
    return found


def _delete(client: "AdminClient", spec: TopicsSpec, doomed: list[str], deadline: float) -> None:
    from confluent_kafka import KafkaError, KafkaException

    for name, future in client.delete_topics(doomed, operation_timeout=10).items():
        try:
            future.result(timeout=_left(deadline))
        except TimeoutError:
            raise ServiceError(f"topic {name!r} not deleted in time") from None
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise ServiceError(f"topic {name!r} not deleted: {error.args[0].str()}") from None
    _wait(client, spec, deadline, "deleted", lambda seen: not set(doomed) & set(seen))


def _create(client: "AdminClient", spec: TopicsSpec, deadline: float) -> None:
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import NewTopic as KafkaTopic

    ids = (
        broker_ids(_metadata(client, spec, deadline)) if any(t.brokers for t in spec.create) else {}
    )
    wanted = [
        KafkaTopic(
            t.name,
            num_partitions=t.partitions,
            config={key: str(value) for key, value in t.config.items()},
            **_placed(t, ids),
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
        spec,
        deadline,
        "ready",
        lambda seen: all(seen.get(name) == count for name, count in partitions.items()),
    )


def broker_ids(metadata: Any) -> dict[str, int]:
    """host:port → id of the brokers that are alive."""
    return {f"{broker.host}:{broker.port}": number for number, broker in metadata.brokers.items()}


def _placed(topic: NewTopic, ids: dict[str, int]) -> dict[str, Any]:
    """How many replicas, or where they are."""
    if not topic.brokers:
        return {"replication_factor": topic.replication}
    unknown = [address for address in topic.brokers if address not in ids]
    if unknown:
        raise ServiceError(
            f"topic {topic.name!r}: {', '.join(unknown)} is no member of the cluster, which has "
            f"{', '.join(sorted(ids)) or 'none'}"
        )
    return {"replica_assignment": assignment(topic, [ids[address] for address in topic.brokers])}


def assignment(topic: NewTopic, brokers: list[int]) -> list[list[int]]:
    """Broker ids of each partition's replicas, its first leader first: brokers take turns."""
    if topic.replication > len(brokers):
        raise ServiceError(
            f"topic {topic.name!r}: replication {topic.replication} on {len(brokers)} brokers"
        )
    return [
        [brokers[(number + step) % len(brokers)] for step in range(topic.replication)]
        for number in range(topic.partitions)
    ]


def _wait(client: "AdminClient", spec: TopicsSpec, deadline: float, what: str, holds: Any) -> None:
    """Ask for metadata until `holds(topic -> partitions that have a leader)`."""
    while True:
        seen = {
            name: sum(p.leader >= 0 and p.error is None for p in topic.partitions.values())
            for name, topic in _topics(client, spec, deadline).items()
        }
        if holds(seen):
            return
        if time.monotonic() > deadline:
            raise ServiceError(f"the topics were not {what} in time; the brokers show {seen}")
        time.sleep(0.05)


def _left(deadline: float) -> float:
    return max(0.1, deadline - time.monotonic())
