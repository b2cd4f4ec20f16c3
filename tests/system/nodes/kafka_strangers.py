"""Runs on a node: whom Kafka answers, and what a producer gets done to topics.

Arguments: a broker's address, and a topic of others that is there. Prints a JSON object: each way
to ask → whether the broker answered; each attempt on a topic → "done", or the error's name.
"""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from streambed.pipelines import kafka_access


def ways(broker: str, own: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Settings of clients; but for the right ones, as a control, none may get an answer."""
    without = {key: value for key, value in own.items() if not key.startswith("sasl")}
    return {
        "right": own,
        "no TLS": {"bootstrap.servers": f"{broker}:9092"},
        "no TLS, open port": {"bootstrap.servers": f"{broker}:9095"},
        "no password": {**without, "security.protocol": "SSL"},
        "wrong password": {**own, "sasl.password": "x"},
        "nobody": {**own, "sasl.username": "nobody"},
        "wrong mechanism": {**own, "sasl.mechanism": "PLAIN"},
        "another authority": {**own, "ssl.ca.location": "/etc/ssl/certs/ca-certificates.crt"},
    }


def answers(settings: dict[str, Any]) -> bool:
    quiet = {"log_level": 0, "error_cb": lambda _: None}
    try:
        AdminClient({**settings, **quiet}).list_topics(timeout=6)
    except KafkaException:
        return False
    return True


def outcome(future: Any) -> str:
    try:
        future.result(15)
    except KafkaException as error:
        return str(error.args[0].name())
    return "done"


def main(broker: str, topic: str) -> dict[str, bool | str]:
    own = kafka_access.of(f"{broker}:9092", kafka_access.PRODUCER).librdkafka()
    asked = ways(broker, own)
    with ThreadPoolExecutor(len(asked)) as pool:
        found: dict[str, bool | str] = dict(
            zip(asked, pool.map(answers, asked.values()), strict=True)
        )
    admin = AdminClient({**own, "log_level": 0})
    (create,) = admin.create_topics([NewTopic("streambed-images-mine", 1, 1)]).values()
    found["producer creates a topic"] = outcome(create)
    (delete,) = admin.delete_topics([topic]).values()
    found["producer deletes a topic"] = outcome(delete)
    return found


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
