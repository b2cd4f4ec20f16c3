#!/usr/bin/python
"""Kafka topics as they are declared: made, grown, set, spread; never cut."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: streambed_topics
short_description: Make declared Kafka topics so
description:
  - Runs on a broker, with a Python that has confluent-kafka and kafka-python, and reaches the
    cluster as role kafka's own programs do.
  - Everything that is declared is checked before the first change, settings by Kafka itself.
  - Partitions are added, replicas added or removed, settings set. Partitions are never taken away,
    and topics that are not declared are left alone.
options:
  topics:
    description: What must be there.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The topic.
        type: str
        required: true
      partitions:
        description: How many it has.
        type: int
        required: true
      replication:
        description: Brokers that hold each partition.
        type: int
        required: true
      min_insync_replicas:
        description: Replicas that must have a record before acks=all is answered.
        type: int
      retention_hours:
        description: How long records are kept.
        type: float
      config:
        description: Further settings, by Kafka's own names.
        type: dict
  internal_replication:
    description: Topics of Kafka's own get at least so many replicas, which were born with fewer.
    type: int
    default: 1
  default_min_insync_replicas:
    description:
      - The cluster's own C(min.insync.replicas), for topics that do not say.
      - Since Kafka 4.1 a cluster keeps what its first broker was started with; what the files of
        brokers say later does not count. Left out, it stays as it is.
    type: int
  timeout_s:
    description: How long, in seconds, the cluster may take.
    type: float
    default: 60
"""

RETURN = """
done:
  description: What was changed, in words.
  type: list
  elements: str
  returned: always
"""

_SHARED = "/usr/local/lib/streambed"
_MS_PER_HOUR = 3_600_000
_LEAST_IN_SYNC = "min.insync.replicas"


@dataclass(frozen=True)
class Wanted:
    """A declared topic; `config` holds all of its settings by Kafka's names."""

    name: str
    partitions: int
    replication: int
    config: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, declared: Mapping[str, Any]) -> Wanted:
        """From the module's own argument."""
        config = {name: _text(value) for name, value in (declared["config"] or {}).items()}
        if declared["min_insync_replicas"] is not None:
            config[_LEAST_IN_SYNC] = str(declared["min_insync_replicas"])
        if declared["retention_hours"] is not None:
            config["retention.ms"] = str(round(declared["retention_hours"] * _MS_PER_HOUR))
        return cls(declared["name"], declared["partitions"], declared["replication"], config)


def _text(value: Any) -> str:
    """As Kafka writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass(frozen=True)
class Seen:
    """A topic that is there: replicas of each partition, by its number; the first one leads."""

    replicas: Mapping[int, Sequence[int]]


def refusals(
    wanted: Sequence[Wanted], seen: Mapping[str, Seen], brokers: Mapping[int, str]
) -> list[str]:
    """What cannot be made so, in words.

    Args:
        wanted: as declared.
        seen: topics that are there, by name.
        brokers: id → address of those that are alive.
    """
    found = []
    names = Counter(topic.name for topic in wanted)
    for topic in wanted:
        where = f"topic {topic.name}"
        if names[topic.name] > 1:
            found.append(f"{where} is declared {names[topic.name]} times; allowed is once")
        if topic.partitions < 1 or topic.replication < 1:
            found.append(
                f"{where}: partitions {topic.partitions} and replication {topic.replication} are "
                "declared; allowed is 1 or more of both"
            )
        if topic.replication > len(brokers):
            found.append(
                f"{where}: replication {topic.replication} is declared, the cluster has "
                f"{len(brokers)} brokers ({', '.join(brokers.values())})"
            )
        least = topic.config.get(_LEAST_IN_SYNC, "1")
        if least.isdigit() and int(least) > topic.replication:
            found.append(
                f"{where}: min_insync_replicas {least} is declared with replication "
                f"{topic.replication}: nothing could be written with acks=all"
            )
        there = seen.get(topic.name)
        if there is not None and topic.partitions < len(there.replicas):
            found.append(
                f"{where}: {topic.partitions} partitions are declared, it has "
                f"{len(there.replicas)}; Kafka takes none away: declare {len(there.replicas)}, or "
                "delete the topic with its records"
            )
    return list(dict.fromkeys(found))


def spread(
    replicas: Mapping[int, Sequence[int]], replication: int, brokers: Iterable[int]
) -> dict[int, list[int]]:
    """New replicas of the partitions that have fewer or more than `replication`.

    A partition keeps those that it has, its leader first; what is added goes where least is.
    """
    load = Counter(broker for mine in replicas.values() for broker in mine)
    everyone = sorted(brokers)
    found = {}
    for number, mine in sorted(replicas.items()):
        if len(mine) == replication:
            continue
        chosen = list(mine[:replication])
        while len(chosen) < replication:
            rest = [broker for broker in everyone if broker not in chosen]
            least = min(rest, key=lambda broker: (load[broker], broker))
            load[least] += 1
            chosen.append(least)
        found[number] = chosen
    return found


class Topics:
    """The cluster's topics, and what it takes to make them as declared."""

    def __init__(self, timeout_s: float) -> None:
        sys.path.insert(0, _SHARED)
        sys.dont_write_bytecode = True
        import kafka_admin

        self._shared = kafka_admin
        self._settings = kafka_admin.properties()
        self._client = kafka_admin.admin(self._settings)
        self._deadline = time.monotonic() + timeout_s
        self._metadata = self._look()
        self.brokers = {
            number: f"{broker.host}:{broker.port}"
            for number, broker in sorted(self._metadata.brokers.items())
        }

    @property
    def seen(self) -> dict[str, Seen]:
        """Topics that are there, Kafka's own included."""
        return {
            name: Seen({number: list(p.replicas) for number, p in topic.partitions.items()})
            for name, topic in self._metadata.topics.items()
        }

    def differences(self, topic: Wanted) -> dict[str, str]:
        """Its settings that have another value."""
        from confluent_kafka.admin import ConfigResource

        if not topic.config:
            return {}
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic.name)
        (answer,) = self._client.describe_configs([resource]).values()
        entries = answer.result(self._left())
        return {
            name: value
            for name, value in topic.config.items()
            if name not in entries or entries[name].value != value
        }

    def objection(self, topic: Wanted) -> str:
        """What Kafka has against a declaration, without a change; empty when nothing."""
        from confluent_kafka import KafkaException

        try:
            if topic.name not in self.seen:
                self._done(self._client.create_topics([_new(topic)], validate_only=True))
            elif topic.config:
                setting = _settings(topic.name, topic.config)
                self._done(self._client.incremental_alter_configs([setting], validate_only=True))
        except KafkaException as error:
            return _words(error)
        return ""

    def default(self, name: str) -> str | None:
        """What holds for topics that do not say, by a broker."""
        from confluent_kafka.admin import ConfigResource

        resource = ConfigResource(ConfigResource.Type.BROKER, str(min(self.brokers)))
        (answer,) = self._client.describe_configs([resource]).values()
        entry = answer.result(self._left()).get(name)
        return None if entry is None else entry.value

    def set_default(self, name: str, value: str) -> None:
        """Set it for all brokers."""
        self._shared.set_for_all_brokers(self._settings, name, value)

    def create(self, topic: Wanted) -> None:
        """Make a topic."""
        self._done(self._client.create_topics([_new(topic)]))
        self._until(topic.name, lambda replicas: len(replicas) == topic.partitions)

    def grow(self, topic: Wanted) -> None:
        """Add partitions."""
        from confluent_kafka.admin import NewPartitions

        self._done(self._client.create_partitions([NewPartitions(topic.name, topic.partitions)]))
        self._until(topic.name, lambda replicas: len(replicas) == topic.partitions)

    def configure(self, name: str, settings: Mapping[str, str]) -> None:
        """Set settings of a topic."""
        self._done(self._client.incremental_alter_configs([_settings(name, settings)]))

    def move(self, name: str, replicas: Mapping[int, Sequence[int]]) -> None:
        """Give partitions other replicas, and wait until those hold everything."""
        from kafka.structs import TopicPartition

        client = self._shared.kafka_python_admin(self._settings)
        try:
            wanted = {TopicPartition(name, number): list(on) for number, on in replicas.items()}
            answers = client.alter_partition_reassignments(wanted)
        finally:
            client.close()
        for partition, error in answers.items():
            if error is not None:
                raise RuntimeError(f"partition {partition.partition}: {error.__name__}")
        self._until(
            name,
            lambda now: all(set(now[number]) == set(on) for number, on in replicas.items()),
        )

    def _look(self) -> Any:
        from confluent_kafka import KafkaException

        try:
            return self._client.list_topics(timeout=self._left())
        except KafkaException as error:
            servers = self._settings["bootstrap.servers"]
            raise Refused(f"Kafka does not answer at {servers}: {_words(error)}") from error

    def _left(self) -> float:
        return max(1.0, self._deadline - time.monotonic())

    def _done(self, answers: Mapping[Any, Any]) -> None:
        for answer in answers.values():
            answer.result(self._left())

    def _until(self, name: str, holds: Callable[[Mapping[int, Sequence[int]]], bool]) -> None:
        """Until the topic's replicas are so, and all of them in sync."""
        while True:
            self._metadata = self._look()
            there = self.seen.get(name)
            behind = self._shared.lacking(self._metadata, name)
            if there is not None and holds(there.replicas) and not behind:
                return
            if time.monotonic() > self._deadline:
                raise TimeoutError(f"not in sync in time: {', '.join(behind) or 'not there'}")
            time.sleep(0.2)


def _new(topic: Wanted) -> Any:
    """A topic as confluent-kafka takes it."""
    from confluent_kafka.admin import NewTopic

    return NewTopic(
        topic.name,
        num_partitions=topic.partitions,
        replication_factor=topic.replication,
        config=dict(topic.config),
    )


def _settings(name: str, settings: Mapping[str, str]) -> Any:
    """Settings of a topic as confluent-kafka takes them."""
    from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource

    entries = [
        ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
        for key, value in settings.items()
    ]
    return ConfigResource(ConfigResource.Type.TOPIC, name, incremental_configs=entries)


class Converging:
    """Makes one topic after the other as declared; `done` tells what was changed, in words."""

    def __init__(self, topics: Topics, *, check: bool) -> None:
        self._topics = topics
        self._check = check
        self.done: list[str] = []

    def topic(self, wanted: Wanted) -> None:
        """A declared one."""
        there = self._topics.seen.get(wanted.name)
        if there is None:
            what = f"made, {wanted.partitions} partitions, replication {wanted.replication}"
            self._act(f"topic {wanted.name}", what, lambda: self._topics.create(wanted))
            return
        if wanted.partitions > len(there.replicas):
            what = f"{len(there.replicas)} partitions, now {wanted.partitions}"
            self._act(f"topic {wanted.name}", what, lambda: self._topics.grow(wanted))
            there = self._topics.seen[wanted.name]
        self.replicas(wanted.name, there, wanted.replication)
        settings = self._topics.differences(wanted)
        if settings:
            what = ", ".join(f"{name} {value}" for name, value in settings.items())
            where = f"topic {wanted.name}"
            self._act(where, what, lambda: self._topics.configure(wanted.name, settings))

    def replicas(self, name: str, there: Seen, replication: int) -> None:
        """So many of each partition."""
        moves = spread(there.replicas, replication, self._topics.brokers)
        if moves:
            what = f"{len(moves)} partitions, now of {replication} replicas"
            self._act(f"topic {name}", what, lambda: self._topics.move(name, moves))

    def internal(self, replication: int) -> None:
        """Kafka's own topics, where they have fewer replicas."""
        for name, there in self._topics.seen.items():
            fewest = min(map(len, there.replicas.values()), default=replication)
            if name.startswith("__") and fewest < replication:
                self.replicas(name, there, replication)

    def least_in_sync(self, replicas: int) -> None:
        """So many must have a record of a topic that does not say."""
        value = str(replicas)
        if self._topics.default(_LEAST_IN_SYNC) != value:
            what = f"{_LEAST_IN_SYNC} {value}"
            self._act("the cluster", what, lambda: self._topics.set_default(_LEAST_IN_SYNC, value))

    def _act(self, where: str, what: str, act: Callable[[], None]) -> None:
        if not self._check:
            try:
                act()
            except Exception as error:
                raise Refused(f"{where}: {what}: {_words(error)}") from error
        self.done.append(f"{where}: {what}")


class Refused(Exception):
    """Kafka did not do it; in words."""


def _words(error: Exception) -> str:
    inner = error.args[0] if error.args else error
    return inner.str() if hasattr(inner, "str") else str(error) or type(error).__name__


def main() -> None:
    """Answer one call."""
    topic = {
        "name": {"type": "str", "required": True},
        "partitions": {"type": "int", "required": True},
        "replication": {"type": "int", "required": True},
        "min_insync_replicas": {"type": "int"},
        "retention_hours": {"type": "float"},
        "config": {"type": "dict"},
    }
    module = AnsibleModule(
        argument_spec={
            "topics": {"type": "list", "elements": "dict", "required": True, "options": topic},
            "internal_replication": {"type": "int", "default": 1},
            "default_min_insync_replicas": {"type": "int"},
            "timeout_s": {"type": "float", "default": 60.0},
        },
        supports_check_mode=True,
    )
    wanted = [Wanted.of(declared) for declared in module.params["topics"]]
    converging = None
    try:
        topics = Topics(module.params["timeout_s"])
        refused = refusals(wanted, topics.seen, topics.brokers) or [
            f"topic {each.name}: {text}" for each in wanted if (text := topics.objection(each))
        ]
        if refused:
            module.fail_json(msg="; ".join(refused), done=[])
        converging = Converging(topics, check=module.check_mode)
        for each in wanted:
            converging.topic(each)
        converging.internal(min(module.params["internal_replication"], len(topics.brokers)))
        if module.params["default_min_insync_replicas"] is not None:
            converging.least_in_sync(module.params["default_min_insync_replicas"])
    except Refused as error:
        module.fail_json(msg=str(error), done=converging.done if converging else [])
    except Exception as error:  # noqa: BLE001 (two client libraries, each with errors of its own)
        module.fail_json(msg=f"Kafka does not answer: {_words(error)}", done=[])
    module.exit_json(
        changed=bool(converging.done),
        done=converging.done,
        diff=[{"after_header": "topics", "before": "", "after": "\n".join(converging.done) + "\n"}]
        if converging.done
        else [],
    )


if __name__ == "__main__":
    main()
