"""Runs on a node: makes a topic with ten records, or tells how many it has and deletes it.

Arguments: a broker's address, the topic, and `put` or `get`, which prints their number.
"""

import sys

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from streambed.pipelines.kafka_access import ADMIN, PRODUCER, of


def put(address: str, topic: str) -> None:
    admin = AdminClient(of(address, ADMIN).librdkafka())
    (made,) = admin.create_topics([NewTopic(topic, 1, 1)]).values()
    made.result(30)
    producer = Producer(of(address, PRODUCER).librdkafka())
    for number in range(10):
        producer.produce(topic, str(number))
    assert producer.flush(30) == 0


def get(address: str, topic: str) -> None:
    account = of(address, ADMIN).librdkafka()
    consumer = Consumer({**account, "group.id": "streambed-kept"})
    print(consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=30)[1])
    admin = AdminClient(account)
    (gone,) = admin.delete_topics([topic]).values()
    gone.result(30)


if __name__ == "__main__":
    broker, its_topic, what = sys.argv[1:]
    {"put": put, "get": get}[what](f"{broker}:9092", its_topic)
