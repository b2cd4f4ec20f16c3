#!/opt/streambed/venv/bin/python
"""load-classes BOOTSTRAP MASTER DRIVER_OPTIONS EXECUTOR_OPTIONS WORK SECURITY: one small query.

Three micro-batches from Kafka through Python back to Kafka load what driver and executor of a
classifying query load; the answers are not looked at. It says when that is so, and ends with its
standard input. WORK has Kafka's login and certificate, SECURITY is JSON: Spark's settings for it.
"""

import json
import sys
import time
from collections.abc import Iterator
from typing import Any

sys.path.insert(0, "/opt/spark/python")

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from pyspark import SparkConf
from pyspark.sql import SparkSession

BATCHES, TIMEOUT_S = 3, 120


def send(producer: Producer, count: int) -> None:
    """Some values for the next micro-batch."""
    for number in range(count):
        producer.produce("in", key=number.to_bytes(8), value=bytes(784))
    producer.flush(TIMEOUT_S)


def through(batches: Iterator[Any]) -> Iterator[Any]:
    """Python's part: values in, values out."""
    yield from batches


def main(bootstrap: str, master: str, driver: str, executor: str, work: str, security: str) -> None:
    """Run the query."""
    access = {"security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512"}
    kafka = {
        **access,
        "bootstrap.servers": bootstrap,
        "sasl.username": "broker",
        "sasl.password": json.loads(security)["spark.authenticate.secret"],
        "ssl.ca.location": f"{work}/ca.pem",
    }
    deadline = time.monotonic() + TIMEOUT_S
    admin = AdminClient(kafka)
    admin.list_topics(timeout=TIMEOUT_S)
    for future in admin.create_topics([NewTopic("in", 1, 1), NewTopic("out", 1, 1)]).values():
        future.result(TIMEOUT_S)
    producer = Producer(kafka)
    conf = SparkConf(loadDefaults=False).setMaster(master).setAppName("load-classes")
    for name, value in {
        "spark.driver.extraJavaOptions": driver,
        "spark.executor.extraJavaOptions": executor,
        "spark.driver.host": "127.0.0.1",
        "spark.executor.memory": "512m",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.adaptive.enabled": "false",
        "spark.sql.streaming.noDataMicroBatches.enabled": "false",
        **json.loads(security),
    }.items():
        conf.set(name, value)
    session = SparkSession.builder.config(conf=conf).getOrCreate()
    trusted = {"ssl.truststore.type": "PEM", "ssl.truststore.location": f"{work}/ca.pem"}
    options = {f"kafka.{name}": value for name, value in (access | trusted).items()}
    options["kafka.bootstrap.servers"] = bootstrap
    read = session.readStream.format("kafka").options(**options, subscribe="in")
    source = read.option("startingOffsets", "earliest").load().select("value")
    query = (
        source.mapInArrow(through, "value binary")
        .writeStream.format("kafka")
        .options(**options, topic="out", checkpointLocation=f"file://{work}/checkpoint")
        .option("asyncProgressTrackingEnabled", "true")
        .trigger(processingTime="200 milliseconds")
        .start()
    )
    for _ in range(BATCHES):
        rows = sum(report.numInputRows for report in query.recentProgress)
        send(producer, 100)
        while sum(report.numInputRows for report in query.recentProgress) == rows:
            if time.monotonic() > deadline or not query.isActive:
                raise SystemExit(f"load-classes: no micro-batch ended: {query.exception()}")
            time.sleep(0.1)
    query.stop()
    ranges = session.read.format("kafka").options(**options, subscribe="in").load()
    ranges.select("value").rdd.map(len).count()
    print("loaded", flush=True)
    sys.stdin.read()
    session.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
