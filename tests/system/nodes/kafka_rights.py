"""Runs on a node that has every account: what each gets done on topics of each kind.

Argument: a broker's address. Prints a JSON array of [account, attempt, kind of topic, outcome]: an
outcome is "done", the error's name, or "nothing" where a reader heard neither record nor error.
"""

import json
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

from streambed.pipelines.kafka_access import ADMIN, CLASSIFIER, PRODUCER, of

ADDRESS = f"{sys.argv[1]}:9092"
USERS = (PRODUCER, CLASSIFIER, ADMIN)
TOPICS = {
    **{kind: f"streambed-{kind}-rights" for kind in ("images", "results", "dead")},
    "others": "rights",
}
WAIT_S = 10


def settings(user: str) -> dict[str, Any]:
    return {**of(ADDRESS, user).librdkafka(), "log_level": 0, "error_cb": lambda _: None}


def outcome(user: str, ask: Callable[[Any], dict[Any, Any]]) -> str:
    # The client must live until its answer is there.
    admin = AdminClient(settings(user))
    (future,) = ask(admin).values()
    try:
        future.result(WAIT_S)
    except KafkaException as error:
        return str(error.args[0].name())
    return "done"


def create(user: str, kind: str) -> str:
    return outcome(user, lambda admin: admin.create_topics([NewTopic(TOPICS[kind], 1, 1)]))


def delete(user: str, kind: str) -> str:
    return outcome(user, lambda admin: admin.delete_topics([TOPICS[kind]]))


def permit(user: str, kind: str) -> str:
    rule = AclBinding(
        *(ResourceType.TOPIC, TOPICS[kind], ResourcePatternType.LITERAL),
        *("User:nobody", "*", AclOperation.READ, AclPermissionType.ALLOW),
    )
    return outcome(user, lambda admin: admin.create_acls([rule]))


def write(user: str, kind: str) -> str:
    told: list[Any] = []
    producer = Producer({**settings(user), "message.timeout.ms": 1000 * WAIT_S})
    producer.produce(TOPICS[kind], b"x", on_delivery=lambda error, _: told.append(error))
    producer.flush(WAIT_S + 2)
    (error,) = told
    return "done" if error is None else str(error.name())


def read(user: str, kind: str) -> str:
    consumer = Consumer({**settings(user), "group.id": "streambed-rights"})
    consumer.assign([TopicPartition(TOPICS[kind], 0, 0)])
    message = consumer.poll(WAIT_S)
    consumer.close()
    if message is None:
        return "nothing"
    return "done" if message.error() is None else str(message.error().name())


ATTEMPTS = {"create": create, "write": write, "read": read, "permit": permit, "delete": delete}


def tried(what: str, users: Sequence[str] = USERS) -> list[list[str]]:
    """All of these accounts at once, each on a topic of each kind."""
    pairs = [(user, kind) for user in users for kind in TOPICS]
    with ThreadPoolExecutor(len(pairs)) as pool:
        done = pool.map(lambda pair: ATTEMPTS[what](*pair), pairs)
        return [[user, what, kind, each] for (user, kind), each in zip(pairs, done, strict=True)]


def main() -> list[list[str]]:
    """Others first, while there is nothing; then what there is, by whoever may; then it goes."""
    found = tried("create", (PRODUCER, CLASSIFIER)) + tried("create", (ADMIN,))
    found += tried("write") + tried("read") + tried("permit")
    return found + tried("delete", (PRODUCER, CLASSIFIER)) + tried("delete", (ADMIN,))


if __name__ == "__main__":
    print(json.dumps(main()))
