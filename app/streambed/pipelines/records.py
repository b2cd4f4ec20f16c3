"""The result record: one packed Kafka message per Arrow batch of classified images.

Little-endian, version 2. Header (80 bytes), then three arrays of `count` elements, each starting
at a multiple of 8 bytes:

    magic          4s   b"SBRR"
    version        u16  2
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
    node           u32  IPv4 address of the node that classified them, 0 when none is told
    (unused)       4 bytes
    ids            u64[count]
    intended_ms    i64[count]  intended send time, unix milliseconds (the source record's timestamp)
    labels         i32[count]
"""

import ipaddress
import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

MAGIC = b"SBRR"
VERSION = 2
HEADER = struct.Struct("<4sHHIiqqqddIIQI4x")
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
    node: int = 0

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
        record.node,
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
        node,
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
        node=node,
    )


def model_tag(key: str) -> int:
    """What a record says of the model with this key (hexadecimal, 16 digits or more)."""
    return int(key[:16], 16)


def hex_tag(key: str) -> str:
    """The same as `collect` reports it: 16 hexadecimal digits."""
    return f"{model_tag(key):016x}"


def node_tag(address: str | None) -> int:
    """What a record says of a node with this IPv4 address; 0 for None."""
    return 0 if address is None else int(ipaddress.IPv4Address(address))


def address_of(tag: int) -> str:
    """The same as `collect` reports it; `unknown` for 0."""
    return str(ipaddress.IPv4Address(tag)) if tag else "unknown"
