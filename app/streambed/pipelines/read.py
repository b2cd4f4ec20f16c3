"""`read`: one consumer, that reads its partitions of a topic and accounts for every id.

It is ready when it has its partitions, begins at the command `go`, and ends when all ids that it
expects have come and nothing more does, or when nothing has come for a long time: what is missing
then is told by the counts. The command `finish` ends it before.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from streambed.pipelines import readers, senders
from streambed.pipelines.account import Account
from streambed.pipelines.errors import ServiceError, SpecError
from streambed.pipelines.protocol import Commands, emit
from streambed.pipelines.readers import Fetched
from streambed.pipelines.spec import parse

POLL_S = 0.25
GO_TIMEOUT_S = 300.0
QUIET_S = 1.0
"""Nothing came for so long, after the last expected id: there is nothing more, no second copy."""


@dataclass(frozen=True)
class ReadSpec:
    """Reads `partitions` of `topic`, where `expect` of the ids from `first_id` on are, of `count`.

    `raw_path` names the file for every record's id, intended and arrival time; null keeps none.
    """

    bootstrap: str
    topic: str
    partitions: list[int]
    count: int
    expect: int
    first_id: int = 0
    client: str = senders.CONFLUENT
    sample_every_s: float = 0.25
    give_up_s: float = 120.0
    raw_path: str | None = None

    def __post_init__(self) -> None:
        if self.client not in senders.NAMES:
            raise ValueError(f"client {self.client!r}; allowed: {', '.join(senders.NAMES)}")
        if self.count < 1 or not 0 <= self.expect <= self.count or self.first_id < 0:
            raise ValueError("count must be >= 1, expect from 0 to count, first_id >= 0")
        if self.sample_every_s <= 0 or self.give_up_s <= 0:
            raise ValueError("sample_every_s and give_up_s must be > 0")


@dataclass
class Raw:
    """What came when; one element per record, in the order of arrival."""

    ids: list[Any] = field(default_factory=list)
    intended_ms: list[Any] = field(default_factory=list)
    received_at: list[Any] = field(default_factory=list)

    def add(self, ids: Any, fetched: Fetched, at: float) -> None:
        """Enter records that arrived together."""
        self.ids.append(ids)
        self.intended_ms.append(np.array(fetched.timestamps_ms, np.int64))
        self.received_at.append(np.full(len(ids), at, np.float64))

    def save(self, path: Path) -> None:
        """Write the npz: image_id uint64[n], intended_ms int64[n], received_at float64[n]."""

        def joined(parts: list[Any], dtype: str) -> Any:
            return np.concatenate(parts) if parts else np.empty(0, dtype)

        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as out:
            np.savez_compressed(
                out,
                image_id=joined(self.ids, "u8"),
                intended_ms=joined(self.intended_ms, "i8"),
                received_at=joined(self.received_at, "f8"),
            )


class Reading:
    """One run of the consumer: the loop, and the figures it leaves."""

    def __init__(self, spec: ReadSpec, reader: readers.Reader) -> None:
        self._spec = spec
        self._reader = reader
        self.account = Account(spec.first_id, spec.count)
        self.raw = None if spec.raw_path is None else Raw()
        self.own_cpu_s = 0.0
        """Of the accounting, which is the benchmark's and not a consumer's."""
        self.complete_at: float | None = None
        self.gave_up = False
        """Whether nothing came for so long that the rest is not waited for."""
        self.cpu_s = 0.0
        """From the start to the last expected id."""

    def run(self, commands: Commands) -> None:
        """Read until everything expected has come, and nothing more, or until `finish`."""
        cpu_before = time.process_time()
        heard = time.monotonic()
        told, told_at = 0, time.time()
        while not commands.received("finish"):
            fetched = self._reader.fetch(POLL_S)
            now = time.time()
            if fetched is not None:
                heard = time.monotonic()
                self._enter(fetched, now)
            quiet_s = time.monotonic() - heard
            if now - told_at >= self._spec.sample_every_s and self.account.records > told:
                emit("sample", at=now, images=self.account.records - told)
                told, told_at = self.account.records, now
            if self.complete_at is None and self.account.unique >= self._spec.expect:
                self.complete_at = now
                self.cpu_s = time.process_time() - cpu_before
                emit("complete", at=now)
            if self.complete_at is not None and quiet_s >= QUIET_S:
                break
            if quiet_s > self._spec.give_up_s:
                self.gave_up = True
                break
        if self.complete_at is None:
            self.cpu_s = time.process_time() - cpu_before
        if self.account.records > told:
            emit("sample", at=self.complete_at or time.time(), images=self.account.records - told)

    def _enter(self, fetched: Fetched, at: float) -> None:
        began_s = time.thread_time()
        ids = self.account.add(fetched)
        if self.raw is not None:
            self.raw.add(ids, fetched, at)
        self.own_cpu_s += time.thread_time() - began_s


def program(raw: dict[str, Any], commands: Commands) -> None:
    """Run `read`: events ready, sample ..., complete, done."""
    spec = parse(ReadSpec, raw)
    reader = readers.create(
        spec.client,
        spec.bootstrap,
        spec.topic,
        spec.partitions,
        timestamps=spec.raw_path is not None,
    )
    assigned = reader.assigned()
    if assigned != sorted(spec.partitions):
        raise SpecError(f"partitions {spec.partitions} were asked for, assigned are {assigned}")
    emit(
        "ready",
        at=time.time(),
        client=reader.client,
        assigned=assigned,
        topic_partitions=reader.topic_partitions(),
    )
    if not commands.wait("go", GO_TIMEOUT_S):
        raise ServiceError(f"the command go did not come within {GO_TIMEOUT_S:g} s")
    reading = Reading(spec, reader)
    began_at = time.time()
    reading.run(commands)
    reader.close()
    if spec.raw_path is not None and reading.raw is not None:
        reading.raw.save(Path(spec.raw_path))
    account = reading.account
    emit(
        "done",
        at=time.time(),
        began_at=began_at,
        complete_at=reading.complete_at,
        gave_up=reading.gave_up,
        client=reader.client,
        assigned=assigned,
        expected=spec.expect,
        records=account.records,
        unique=account.unique,
        duplicates=account.duplicates,
        unknown=account.unknown,
        value_bytes=account.value_bytes,
        per_partition={str(p): n for p, n in sorted(account.per_partition.items())},
        cpu_s=reading.cpu_s,
        own_cpu_s=reading.own_cpu_s,
        raw_path=spec.raw_path,
    )
