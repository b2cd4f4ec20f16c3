"""The result record: one packed Kafka message per Arrow batch of classified images.

Little-endian, version 1. Header (72 bytes), then three arrays of `count` elements, each starting
at a multiple of 8 bytes:

    magic          4s   b"SBRR"
    version        u16  1
    flags          u16  1: the images came as Python objects, one by one; else 0
    count          u32  images in this record
    partition      i32  partition of the source topic
    first_offset   i64  lowest and
    last_offset    i64  highest offset of the images in the source topic
    batch_id       i64  micro-batch, -1 outside a streaming query
    received_at    f64  unix seconds at which the Python worker had the images
    compute_s      f64  seconds in the model
    worker         u32  process id of the Python worker
    attempt        u32  attempt number of the Spark task
    model          u64  the first 8 bytes of the model's key, 0 when none is told
    ids            u64[count]
    intended_ms    i64[count]  intended send time, unix milliseconds (the source record's timestamp)
    labels         i32[count]
"""

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

MAGIC = b"SBRR"
VERSION = 1
HEADER = struct.Struct("<4sHHIiqqqddIIQ")
BYTES_PER_IMAGE = 8 + 8 + 4
FROM_ROWS = 1
"""The flag."""
MOST_IMAGES = 40_000
"""Of one record: 0.8 MB, within Kafka's own limit of 1 MiB for a message."""


class RecordError(ValueError):
    """These bytes are no result record of a version this code knows."""


@dataclass(frozen=True)
class Record:
    """One decoded result record; arrays are views into the message, not copies."""

    ids: npt.NDArray[np.uint64]
    intended_ms: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int32]
    partition: int
    first_offset: int
    last_offset: int
    batch_id: int
    received_at: float
    compute_s: float
    worker: int
    attempt: int
    model: int = 0
    from_rows: bool = False

    def __len__(self) -> int:
        return len(self.ids)


def encode(record: Record) -> bytes:
    """The message for `record`."""
    header = HEADER.pack(
        MAGIC,
        VERSION,
        FROM_ROWS if record.from_rows else 0,
        len(record),
        record.partition,
        record.first_offset,
        record.last_offset,
        record.batch_id,
        record.received_at,
        record.compute_s,
        record.worker,
        record.attempt,
        record.model,
    )
    return b"".join(
        (
            header,
            record.ids.astype("<u8", copy=False).tobytes(),
            record.intended_ms.astype("<i8", copy=False).tobytes(),
            record.labels.astype("<i4", copy=False).tobytes(),
        )
    )


def decode(message: bytes) -> Record:
    """The record in `message`; raises RecordError when it is none, or is cut short."""
    if len(message) < HEADER.size or message[:4] != MAGIC:
        raise RecordError(f"not a result record: {len(message)} bytes starting {message[:4]!r}")
    (
        _,
        version,
        flags,
        count,
        partition,
        first_offset,
        last_offset,
        batch_id,
        received_at,
        compute_s,
        worker,
        attempt,
        model,
    ) = HEADER.unpack_from(message)
    if version != VERSION:
        raise RecordError(f"result record of version {version}; this code reads {VERSION}")
    expected = HEADER.size + count * BYTES_PER_IMAGE
    if len(message) != expected:
        raise RecordError(f"{count} images need {expected} bytes, the record has {len(message)}")
    at = HEADER.size
    return Record(
        ids=np.frombuffer(message, "<u8", count, at),
        intended_ms=np.frombuffer(message, "<i8", count, at + 8 * count),
        labels=np.frombuffer(message, "<i4", count, at + 16 * count),
        partition=partition,
        first_offset=first_offset,
        last_offset=last_offset,
        batch_id=batch_id,
        received_at=received_at,
        compute_s=compute_s,
        worker=worker,
        attempt=attempt,
        model=model,
        from_rows=bool(flags & FROM_ROWS),
    )


def model_tag(key: str) -> int:
    """What a record says of the model with this key (hexadecimal, 16 digits or more)."""
    return int(key[:16], 16)


def hex_tag(key: str) -> str:
    """The same as `collect` reports it: 16 hexadecimal digits."""
    return f"{model_tag(key):016x}"
