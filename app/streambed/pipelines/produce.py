"""`produce`: send images, cycled to any count, at full speed or at a constant rate.

Record: value = raw pixels, key = 8-byte big-endian id, timestamp = intended send time (ms). At full
speed an image is intended when the client's turn comes to queue it; at a constant rate the schedule
says when, and it never slips.
"""

import contextlib
import dataclasses
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streambed.pipelines import datasets, pacing, senders
from streambed.pipelines.ack_samples import AckSamples
from streambed.pipelines.errors import ServiceError
from streambed.pipelines.protocol import Commands, emit
from streambed.pipelines.spec import parse
from streambed.pipelines.thread_profile import ThreadProfile

PROGRESS_EVERY_S = 0.5
CHUNK = 64
"""Images between two looks at the clock, at full speed."""
OWN_COST_IMAGES = 20_000
"""Sent to nowhere, to know what the loop itself costs."""
SHORTEST_PAUSE_S = 0.002
"""A paced producer sends what became due in this time at once; waking for each image costs more."""


@dataclass(frozen=True)
class ProduceSpec:
    """Images first_id ... first_id + count - 1; `rate_per_s` null is full speed.

    `start_at` (unix seconds) sets when the first image is intended; null is now. `raw_path` names
    the file for the acknowledgements of a sample of the images (see `AckSamples`); null keeps none.
    `block`: ids in a row to one partition; null is as pacing.py has it for a stream.
    `profile`: tell where this process spends its CPU time, and what its own loop costs.
    """

    bootstrap: str
    topic: str
    count: int
    producer: str = "confluent-kafka"
    dataset: str = datasets.MNIST
    first_id: int = 0
    block: int | None = None
    rate_per_s: float | None = None
    config: senders.SenderConfig = field(default_factory=senders.SenderConfig)
    deadline_s: float = 600.0
    start_at: float | None = None
    raw_path: str | None = None
    progress_every_s: float = PROGRESS_EVERY_S
    profile: bool = False

    def __post_init__(self) -> None:
        if self.producer not in senders.NAMES:
            raise ValueError(f"producer {self.producer!r}; allowed: {', '.join(senders.NAMES)}")
        if self.count < 1 or self.first_id < 0:
            raise ValueError("count must be >= 1 and first_id >= 0")
        if self.block is not None and self.block < 1:
            raise ValueError(f"block must be >= 1 or null, not {self.block}")
        if self.rate_per_s is not None and self.rate_per_s <= 0:
            raise ValueError(f"rate_per_s must be > 0 or null, not {self.rate_per_s}")
        if self.deadline_s <= 0 or self.progress_every_s <= 0:
            raise ValueError(
                f"deadline_s and progress_every_s must be > 0, not {self.deadline_s} and "
                f"{self.progress_every_s}"
            )


class Production:
    """One run of the producer: the loop, and the figures it leaves."""

    def __init__(self, spec: ProduceSpec, payloads: list[bytes], sender: senders.Sender) -> None:
        self._spec = spec
        self._payloads = payloads
        self._sender = sender
        self._partitions = sender.partitions()
        self._block = spec.block or pacing.block_size(self._partitions)
        self.samples = None if spec.raw_path is None else AckSamples()
        self.first_send_at: float | None = None
        self.last_send_at: float | None = None
        self.late_max_s = 0.0

    @property
    def partitions(self) -> int:
        """Partitions the images are spread over."""
        return self._partitions

    def run(self, commands: Commands) -> None:
        """Send everything, or until the command `stop`."""
        if self._spec.start_at is not None:
            commands.wait("stop", max(0.0, self._spec.start_at - time.time()))
        if self._spec.rate_per_s is None:
            self._full_speed(commands)
        else:
            schedule = pacing.Schedule(time.time(), self._spec.rate_per_s)
            emit("started", at=schedule.start)
            self._paced(commands, schedule)

    def _full_speed(self, commands: Commands) -> None:
        for begin in range(0, self._spec.count, CHUNK):
            if commands.received("stop"):
                return
            end = min(begin + CHUNK, self._spec.count)
            now_ms = int(time.time() * 1000)
            self._send(begin, [now_ms] * (end - begin))
            # Acknowledgements are handled on the way, or the queue would look full for longer.
            self._sender.idle(0.0)

    def _paced(self, commands: Commands, schedule: pacing.Schedule) -> None:
        index = 0
        while index < self._spec.count and not commands.received("stop"):
            now = time.time()
            due = min(schedule.due(now), self._spec.count)
            if due > index:
                self.late_max_s = max(self.late_max_s, now - schedule.intended(index))
                # A stalled sender catches up in slices, so that lateness is seen as it grows.
                due = min(due, index + 4 * CHUNK)
                self._send(index, [int(schedule.intended(i) * 1000) for i in range(index, due)])
                index = due
            pause = schedule.intended(index) - time.time()
            self._sender.idle(max(pause, SHORTEST_PAUSE_S) if pause > 0 else 0.0)

    def _send(self, begin: int, timestamps_ms: list[int]) -> None:
        payloads, send, pack = self._payloads, self._sender.send, struct.Struct(">Q").pack
        images, block, partitions = len(payloads), self._block, self._partitions
        if self.first_send_at is None:
            self.first_send_at = time.time()
        first = self._spec.first_id + begin
        followed = self.samples.of if self.samples is not None else _not_followed
        for image_id, timestamp_ms in enumerate(timestamps_ms, first):
            send(
                payloads[image_id % images],
                pack(image_id),
                pacing.partition_of(image_id, block, partitions),
                timestamp_ms,
                followed(image_id),
            )
        self.last_send_at = time.time()


def _not_followed(_image_id: int) -> None:
    return None


class _Nowhere:
    """A sender that sends nothing: what is left is the loop around it."""

    def __init__(self) -> None:
        self.tally = senders.Tally()

    @property
    def client(self) -> str:
        return "none"

    def requests(self) -> senders.Requests:
        return senders.Requests()

    def leaders(self) -> list[str]:
        return []

    def partitions(self) -> int:
        return 1

    def send(self, *_: object, **__: object) -> None:
        self.tally.sent += 1

    def idle(self, seconds: float) -> None:
        pass

    def finish(self) -> None:
        pass


def _own_cost_s(spec: ProduceSpec, payloads: list[bytes]) -> float:
    """CPU time per image of the loop alone, at full speed."""
    alone = dataclasses.replace(spec, count=OWN_COST_IMAGES, rate_per_s=None, start_at=None)
    began_s = time.thread_time()
    Production(alone, payloads, _Nowhere()).run(Commands())
    return (time.thread_time() - began_s) / OWN_COST_IMAGES


@contextlib.contextmanager
def _profiled(wanted: bool) -> Iterator[ThreadProfile | None]:
    if not wanted:
        yield None
        return
    with ThreadProfile() as profile:
        yield profile


def program(raw: dict[str, Any], commands: Commands) -> None:
    """Run `produce`: events ready, progress ..., done."""
    spec = parse(ProduceSpec, raw)
    dataset = datasets.load(spec.dataset)
    payloads = dataset.payloads()
    sender = senders.create(spec.producer, spec.bootstrap, spec.topic, spec.config, spec.deadline_s)
    production = Production(spec, payloads, sender)
    leaders = sender.leaders()
    emit(
        "ready",
        at=time.time(),
        partitions=production.partitions,
        images=len(payloads),
        payload_bytes=dataset.image_bytes,
    )
    stopped = threading.Event()
    ticker = threading.Thread(
        target=_tell_progress, args=(sender.tally, stopped, spec.progress_every_s), daemon=True
    )
    own_cpu_s = _own_cost_s(spec, payloads) if spec.profile else None
    ticker.start()
    cpu_before = time.process_time()
    failure = ""
    with _profiled(spec.profile) as profile:
        try:
            production.run(commands)
        except ServiceError as error:
            failure = str(error)
        sender.finish()
    stopped.set()
    ticker.join()
    if spec.raw_path is not None and production.samples is not None:
        production.samples.save(Path(spec.raw_path))
    tally = sender.tally
    emit(
        "done",
        at=time.time(),
        sent=tally.sent,
        acked=tally.acked,
        failed=tally.failed,
        first_send_at=production.first_send_at,
        last_send_at=production.last_send_at,
        last_ack_at=tally.last_ack_at,
        cpu_s=time.process_time() - cpu_before,
        blocked_s=tally.blocked_s,
        late_max_s=production.late_max_s if spec.rate_per_s is not None else None,
        payload_bytes=dataset.image_bytes,
        partitions=production.partitions,
        client=sender.client,
        leaders=leaders,
        **dataclasses.asdict(sender.requests()),
        own_cpu_s_per_image=own_cpu_s,
        profile=None if profile is None else profile.result(),
    )
    if failure or tally.failed:
        raise ServiceError(
            failure or f"{tally.failed} of {tally.sent} images failed: {tally.first_failure}"
        )


def _tell_progress(tally: senders.Tally, stopped: threading.Event, every_s: float) -> None:
    while not stopped.wait(every_s):
        emit("progress", sent=tally.sent, acked=tally.acked, at=time.time())
