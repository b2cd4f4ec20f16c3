#!/opt/streambed/venv/bin/python -IB
"""kafka-ready [--cluster | --peers] [--timeout SECONDS]: end when this node's Kafka is ready.

Ready is a broker that answers a metadata request as a member of a cluster that has a controller and
its access rules, and a controller without a broker whose port is open. --cluster means all of it:
all brokers are members, all controllers are voters of the quorum, no partition lacks a replica.
--peers means another broker of the cluster: is there one already?

Exit: 0 ready, 1 it did not get there in time.
"""

import argparse
import socket
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import kafka_admin
import kafka_rules
from confluent_kafka import KafkaException

PEERS_TIMEOUT_S = 10.0
"""How long a peer whose port is open may take to answer."""

CONNECT_TIMEOUT_S = 2.0
ANSWER_TIMEOUT_S = 5.0


class NotYet(Exception):
    """What is still missing, in words."""


def connects(address: str) -> bool:
    """Whether anything listens there."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_TIMEOUT_S).close()
    except OSError:
        return False
    return True


class Looking:
    """Asks again and again; the client keeps its connections from one look to the next."""

    def __init__(self) -> None:
        self._cluster = kafka_admin.cluster()
        self._settings = kafka_admin.properties()
        self._client = kafka_admin.admin(self._settings)

    def node(self) -> str:
        """This node."""
        address = self._cluster["address"]
        if address is None:
            controller = self._cluster["controller"]
            if not connects(controller):
                raise NotYet(f"nothing listens at {controller}")
            return f"{controller} is open"
        members = _brokers(self._metadata())
        if address not in members:
            raise NotYet(f"the cluster's brokers are {', '.join(members) or 'none'}")
        try:
            kafka_rules.enforce(self._client)
        except KafkaException as error:
            raise NotYet(f"the access rules are not in force: {error}") from None
        return f"{address} answers; the cluster's brokers: {', '.join(members)}"

    def cluster(self) -> str:
        """The whole cluster."""
        seen = self._metadata()
        members = _brokers(seen)
        missing = [address for address in self._cluster["brokers"] if address not in members]
        if missing:
            raise NotYet(f"{', '.join(missing)} missing among the brokers")
        voters = self._voters()
        lacking = kafka_admin.lacking(seen)
        if lacking:
            more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
            raise NotYet(f"partitions lack a replica: {', '.join(lacking[:3])}{more}")
        return (
            f"the cluster's brokers: {', '.join(members)}; voters: "
            f"{', '.join(map(str, voters))}; every partition has all of its replicas"
        )

    def _metadata(self) -> Any:
        try:
            seen = self._client.list_topics(timeout=ANSWER_TIMEOUT_S)
        except KafkaException as error:
            raise NotYet(str(error)) from None
        if seen.controller_id < 0:
            raise NotYet("there is no controller")
        return seen

    def _voters(self) -> list[int]:
        """Ids of the quorum's voters; where one controller is all there is, nobody is asked."""
        wanted = sorted(self._cluster["voters"])
        if len(wanted) == 1:
            return wanted
        from kafka.errors import KafkaError

        try:
            client = kafka_admin.kafka_python_admin(self._settings)
            try:
                quorum = client.describe_metadata_quorum()
            finally:
                client.close()
        except KafkaError as error:
            raise NotYet(f"the quorum is not told: {error}") from None
        (topic,) = quorum["topics"]
        (partition,) = topic["partitions"]
        found = sorted(voter["replica_id"] for voter in partition["current_voters"])
        if found != wanted:
            raise NotYet(f"the quorum's voters are {found}, not {wanted}")
        return found


def _brokers(metadata: Any) -> list[str]:
    return sorted(f"{broker.host}:{broker.port}" for broker in metadata.brokers.values())


def peers() -> bool:
    """Whether another broker of this cluster answers, with a controller."""
    described = kafka_admin.cluster()
    others = [each for each in described["brokers"] if each != described["address"]]
    there = [address for address in others if connects(address)]
    if not there:
        return False
    settings = {**kafka_admin.properties(), "bootstrap.servers": ",".join(there)}
    try:
        seen = kafka_admin.admin(settings).list_topics(timeout=PEERS_TIMEOUT_S)
    except KafkaException:
        return False
    return bool(seen.controller_id >= 0)


def main() -> int:
    parser = argparse.ArgumentParser(description="Wait until this node's Kafka is ready.")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--cluster", action="store_true", help="all of its cluster")
    what.add_argument("--peers", action="store_true", help="is there a cluster already?")
    parser.add_argument("--timeout", type=float, default=60, help="in seconds")
    arguments = parser.parse_args()
    if arguments.peers:
        return 0 if peers() else 1
    looking = Looking()
    look = looking.cluster if arguments.cluster else looking.node
    deadline = time.monotonic() + arguments.timeout
    while True:
        try:
            print(look())
            return 0
        except NotYet as reason:
            said = reason
        if time.monotonic() > deadline:
            break
        time.sleep(0.2)
    print(f"not ready within {arguments.timeout:g} s: {said}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
