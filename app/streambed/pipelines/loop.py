"""`loop`: a hand-written consumer, model and producer, one process per core: the rival of Spark.

It reads a loaded topic, classifies and writes the same packed result records as `classify`.
"""

import os
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from streambed.pipelines import (
    consume,
    datasets,
    kafka_access,
    kafka_client,
    model_files,
    parallel,
    records,
)
from streambed.pipelines.errors import ServiceError
from streambed.pipelines.protocol import Commands, emit
from streambed.pipelines.spec import parse
from streambed.pipelines.worker import ShapedModel

FLUSH_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class LoopSpec:
    """Reads what `topic` holds when it starts; calls the model with `batch_images` at a time."""

    bootstrap: str
    topic: str
    result_topic: str
    model: model_files.ModelSpec
    dataset: str = datasets.MNIST
    processes: int = 2
    batch_images: int = 2000

    def __post_init__(self) -> None:
        if self.processes < 1 or not 1 <= self.batch_images <= records.MOST_IMAGES:
            raise ValueError(
                f"processes must be >= 1 and batch_images from 1 to {records.MOST_IMAGES}, not "
                f"{self.processes} and {self.batch_images}"
            )


def classify(model: ShapedModel, messages: list[Any], model_tag: int) -> records.Record:
    """The result of one batch of Kafka messages; `model_tag` as records.py has it."""
    received_at = time.time()
    size = model.image_bytes
    pixels = b"".join([message.value() for message in messages])
    if len(pixels) != size * len(messages):
        raise ServiceError(f"the topic holds images of another size than the model's {size} bytes")
    began = time.perf_counter()
    labels = model.predict(np.frombuffer(pixels, np.uint8).reshape(-1, size))
    compute_s = time.perf_counter() - began
    partitions = {message.partition() for message in messages}
    offsets = [message.offset() for message in messages]
    return records.Record(
        ids=np.frombuffer(b"".join([message.key() for message in messages]), ">u8").astype("u8"),
        intended_ms=np.array([message.timestamp()[1] for message in messages], np.int64),
        labels=np.asarray(labels, np.int32),
        partition=partitions.pop() if len(partitions) == 1 else -1,
        first_offset=min(offsets),
        last_offset=max(offsets),
        batch_id=-1,
        received_at=received_at,
        compute_s=compute_s,
        worker=os.getpid(),
        attempt=0,
        model=model_tag,
    )


def prepare(spec: LoopSpec, index: int, processes: int) -> parallel.Work:
    """One process of program `loop`."""
    from confluent_kafka import Producer

    shape = datasets.load(spec.dataset).image_shape
    files = model_files.read(spec.model, shape)
    model, tag = ShapedModel(model_files.build(files), shape), records.model_tag(files.key)
    share = consume.Share(spec.bootstrap, spec.topic, index, processes)
    failures: list[str] = []

    def delivered(error: Any, _message: Any) -> None:
        if error is not None:
            failures.append(error.str())

    producer = Producer(
        {
            **kafka_client.settings(spec.bootstrap, kafka_access.CLASSIFIER),
            "acks": "all",
            "linger.ms": 0,
            "message.max.bytes": 8_388_608,
            "on_delivery": delivered,
        }
    )

    def work(report: parallel.Report) -> dict[str, Any]:
        for messages in share.batches(spec.batch_images):
            record = classify(model, messages, tag)
            producer.produce(spec.result_topic, value=records.encode(record))
            producer.poll(0)
            report(len(record))
        unsent = producer.flush(FLUSH_TIMEOUT_S)
        if failures or unsent:
            raise ServiceError(
                f"{len(failures) + unsent} result records were not written: "
                f"{failures[0] if failures else 'not acknowledged in time'}"
            )
        return {"images": share.images}

    return work


def program(raw: dict[str, Any], commands: Commands) -> None:
    """Run `loop`: events ready, sample ..., done."""
    del commands
    spec = parse(LoopSpec, raw)
    parts = parallel.run(prepare, spec, spec.processes)
    emit("done", at=time.time(), images=sum(part["images"] for part in parts))
