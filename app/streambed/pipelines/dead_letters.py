"""What cannot be classified is set aside in a topic of its own, with its reason; the rest goes on.

A letter is JSON: `reason`, `images` (how many records it stands for), where they lie (`partition`,
`first_offset`, `last_offset` of the image topic), and of a malformed record `key` and `head` (its
beginning) in hexadecimal and its `size`.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

HEAD_BYTES = 32

MOST_KEPT = 10_000
"""Letters of a cell that are kept when its topic is gone."""

HEADERS = "unknown headers"
KEY = "the key is no id of 8 bytes"
EMPTY = "empty"
SIZE = "another size than the model's images"

MODEL = "the model failed"


class Malformed(ValueError):
    """Some records of a batch are no images; `sort_out` tells which."""


def reason_of(key: Any, value: Any, image_bytes: int, *, headed: bool) -> str | None:
    """Why a record is no image of `image_bytes` bytes, or None when it is one."""
    if headed:
        return HEADERS
    if key is None or len(key) != 8:
        return KEY
    if not value:
        return EMPTY
    return None if len(value) == image_bytes else SIZE


def letter(
    reason: str, key: Any, value: Any, size: int | None, partition: int, offset: int
) -> bytes:
    """The letter of one malformed record, of whose value of `size` bytes this is the beginning."""
    found = {
        "key": None if key is None else bytes(key).hex(),
        "size": size or 0,
        "head": None if value is None else bytes(value[:HEAD_BYTES]).hex(),
    }
    return _encoded(reason, 1, partition, offset, offset, **found)


def of_many(reason: str, partitions: Iterable[int], offsets: Iterable[int]) -> Iterator[bytes]:
    """One letter for each partition that has some of these records."""
    found: dict[int, list[int]] = {}
    for partition, offset in zip(partitions, offsets, strict=True):
        found.setdefault(int(partition), []).append(int(offset))
    for partition, mine in found.items():
        yield _encoded(reason, len(mine), partition, min(mine), max(mine))


def _encoded(
    reason: str, images: int, partition: int, first: int, last: int, **more: object
) -> bytes:
    where = {"partition": partition, "first_offset": first, "last_offset": last}
    return json.dumps({"reason": reason, "images": images, **where, **more}).encode()


def sort_out(batch: Any, image_bytes: int) -> tuple[Any, list[bytes]]:
    """The images of an Arrow batch with `worker.columns`, and a letter for each of the others."""
    import pyarrow as pa

    columns = ("key", "value", "size", "partition", "offset", "headed")
    good, letters = [], []
    for key, value, size, partition, offset, headed in zip(
        *(batch.column(name).to_pylist() for name in columns), strict=True
    ):
        reason = reason_of(key, value, image_bytes, headed=headed)
        good.append(reason is None)
        if reason is not None:
            letters.append(letter(reason, key, value, size, partition, offset))
    return batch.filter(pa.array(good)), letters


def keep(letters: Sequence[bytes], path: Path) -> None:
    """Write the first of them, one line each; what is no letter as its bytes in hexadecimal."""
    with path.open("w", encoding="utf-8") as out:
        for each in letters[:MOST_KEPT]:
            try:
                line = json.dumps(json.loads(each))
            except ValueError:
                line = json.dumps({"no letter": each[:HEAD_BYTES].hex()})
            out.write(f"{line}\n")


def count(letters: Iterable[bytes]) -> dict[str, int]:
    """Reason → records set aside; what is no letter counts as one of its own reason."""
    found: dict[str, int] = {}
    for each in letters:
        try:
            content = json.loads(each)
            reason, images = str(content["reason"]), int(content["images"])
        except (ValueError, KeyError, TypeError):
            reason, images = "no letter", 1
        found[reason] = found.get(reason, 0) + images
    return found
