"""The packed result record: what is encoded is decoded, and nothing else is accepted."""

from dataclasses import replace

import numpy as np
import pytest

from streambed.pipelines.records import (
    HEADER,
    Record,
    RecordError,
    address_of,
    decode,
    encode,
    model_tag,
    node_tag,
)


def record(count: int = 3) -> Record:
    return Record(
        ids=np.arange(count, dtype=np.uint64) + np.uint64(2**63),
        intended_ms=np.arange(count, dtype=np.int64) + 1_795_000_000_000,
        labels=np.arange(count, dtype=np.int32) - 1,
        partition=1,
        first_offset=10,
        last_offset=10 + count,
        batch_id=7,
        received_at=1.795e9 + 0.25,
        compute_s=0.125,
        worker=4242,
        attempt=2,
        model=model_tag("ff" * 32),
        node=node_tag("10.83.2.21"),
    )


@pytest.mark.parametrize("count", [0, 1, 3, 2500])
def test_what_is_encoded_is_decoded(count: int) -> None:
    sent = record(count)
    got = decode(encode(sent))
    for name in ("ids", "intended_ms", "labels"):
        np.testing.assert_array_equal(getattr(got, name), getattr(sent, name))
    for name in (
        "partition",
        "first_offset",
        "last_offset",
        "batch_id",
        "worker",
        "attempt",
        "model",
        "node",
    ):
        assert getattr(got, name) == getattr(sent, name)
    assert (got.received_at, got.compute_s, len(got)) == (1.795e9 + 0.25, 0.125, count)


@pytest.mark.parametrize("from_rows", [True, False])
def test_a_record_tells_how_its_images_came(from_rows: bool) -> None:
    assert decode(encode(replace(record(), from_rows=from_rows))).from_rows is from_rows


def test_a_record_names_the_node_it_comes_from() -> None:
    assert address_of(decode(encode(record())).node) == "10.83.2.21"
    assert address_of(node_tag(None)) == "unknown"


def test_the_arrays_start_at_multiples_of_eight() -> None:
    assert HEADER.size % 8 == 0


@pytest.mark.parametrize(
    ("message", "word"),
    [
        (b"", "0 bytes"),
        (b"X" * 100, "XXXX"),
        (encode(record())[:-1], "need"),
        (encode(record()) + b"\0", "need"),
        (encode(record())[:4] + b"\x09\x00" + encode(record())[6:], "version 9"),
    ],
)
def test_anything_else_is_refused(message: bytes, word: str) -> None:
    with pytest.raises(RecordError, match=word):
        decode(message)
