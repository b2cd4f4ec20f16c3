#!/opt/streambed/venv/bin/python -I
"""kafka-ready [--timeout SECONDS]: end when this node's broker answers a metadata request.

Exit: 0 the broker is a member of a cluster that has a controller, 1 it did not get there in time.
"""

import argparse
import sys
import time
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

CONFIG = Path("/etc/kafka/client.properties")


def main() -> int:
    parser = argparse.ArgumentParser(description="Wait until this node's broker is ready.")
    parser.add_argument("--timeout", type=float, default=60, help="in seconds")
    timeout_s = parser.parse_args().timeout
    lines = [line.strip() for line in CONFIG.read_text().splitlines()]
    config = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    address = config["bootstrap.servers"]
    client = AdminClient(
        {**config, "reconnect.backoff.max.ms": 200, "error_cb": lambda _: None, "log_level": 0}
    )
    reason = "no answer"
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            metadata = client.list_topics(timeout=2)
        except KafkaException as error:
            reason = str(error)
            time.sleep(0.1)
            continue
        members = [f"{broker.host}:{broker.port}" for broker in metadata.brokers.values()]
        if address in members and metadata.controller_id >= 0:
            print(f"{address} answers; the cluster's brokers: {', '.join(sorted(members))}")
            return 0
        reason = f"the cluster's brokers are {', '.join(members) or 'none'}"
        time.sleep(0.1)
    print(f"{address} was not ready within {timeout_s:g} s: {reason}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
