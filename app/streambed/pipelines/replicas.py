"""`replicas`: wait until all replicas of a topic are in sync, then tell how long each is."""

import time
from dataclasses import dataclass
from typing import Any

from streambed.pipelines import kafka_client
from streambed.pipelines.errors import ServiceError
from streambed.pipelines.protocol import Commands, emit
from streambed.pipelines.spec import parse
from streambed.pipelines.stored import stored_bytes

LOOK_EVERY_S = 0.2


@dataclass(frozen=True)
class ReplicasSpec:
    """`brokers`: host:port of those that must be members of the cluster."""

    bootstrap: str
    topic: str
    brokers: list[str]
    timeout_s: float = 120.0


def program(raw: dict[str, Any], commands: Commands) -> None:
    """Run `replicas`: event done, with what each broker holds, when all are in sync."""
    del commands
    spec = parse(ReplicasSpec, raw)
    client = kafka_client.admin(spec.bootstrap)
    deadline = time.monotonic() + spec.timeout_s
    while True:
        seen = kafka_client.metadata_of(client, spec.bootstrap, spec.topic)
        missing = missing_of(seen, spec.topic, spec.brokers)
        if not missing:
            break
        if time.monotonic() > deadline:
            raise ServiceError(f"not in sync after {spec.timeout_s:g} s: {'; '.join(missing)}")
        time.sleep(LOOK_EVERY_S)
    in_sync_at = time.time()
    stored = stored_bytes(spec.bootstrap, spec.topic)
    emit("done", at=time.time(), in_sync_at=in_sync_at, stored_bytes=stored)


def missing_of(seen: Any, topic: str, brokers: list[str]) -> list[str]:
    """What is not in sync yet, in words; `seen` is confluent-kafka's ClusterMetadata."""
    alive = {number: f"{broker.host}:{broker.port}" for number, broker in seen.brokers.items()}
    found = [f"{address} is no member" for address in brokers if address not in alive.values()]
    for number, partition in sorted(seen.topics[topic].partitions.items()):
        behind = sorted(set(partition.replicas) - set(partition.isrs))
        if behind or partition.leader < 0:
            found.append(f"partition {number} lacks broker {', '.join(map(str, behind)) or 'any'}")
    return found
