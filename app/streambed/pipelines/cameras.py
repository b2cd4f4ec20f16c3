"""`cameras`: many cameras in one process, each with a constant frame rate and its own order.

Frame k of camera c has id k * cameras + c, so that ids go up with the time at which frames are due:
cameras take turns, evenly, as if each had been switched on a little later than the one before. All
frames of a camera go to partition c % partitions. With `own_clients` each camera has a Kafka client
of its own, as separate devices have; else all share one.
"""

import struct
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from streambed.pipelines import datasets, pacing, senders
from streambed.pipelines.ack_samples import AckSamples
from streambed.pipelines.errors import ServiceError
from streambed.pipelines.protocol import Commands, emit
from streambed.pipelines.spec import parse

PROGRESS_EVERY_S = 0.5
SHORTEST_PAUSE_S = 0.002
"""Frames that became due in this time are sent at once; waking for each costs more."""
MOST_AT_ONCE = 256
"""Frames between two looks at the clock while it catches up."""


@dataclass(frozen=True)
class CamerasSpec:
    """Each camera sends `frames` frames, one every 1 / `frame_rate_per_s` seconds."""

    bootstrap: str
    topic: str
    cameras: int
    frames: int
    frame_rate_per_s: float
    own_clients: bool = True
    dataset: str = datasets.MNIST
    config: senders.SenderConfig = field(default_factory=senders.SenderConfig)
    deadline_s: float = 600.0
    raw_path: str | None = None

    def __post_init__(self) -> None:
        if self.cameras < 1 or self.frames < 1:
            raise ValueError("cameras and frames must be >= 1")
        if self.frame_rate_per_s <= 0 or self.deadline_s <= 0:
            raise ValueError("frame_rate_per_s and deadline_s must be > 0")

    @property
    def count(self) -> int:
        """Frames of all cameras."""
        return self.cameras * self.frames


class Filming:
    """One run: the loop, and the figures it leaves."""

    def __init__(
        self, spec: CamerasSpec, payloads: list[bytes], clients: Sequence[senders.Sender]
    ) -> None:
        self._spec = spec
        self._payloads = payloads
        self._clients = clients
        # Also connects each client, so that no first frame waits for that.
        (self.partitions,) = {client.partitions() for client in clients}
        self.acks = AckSamples(every=1)
        self.late_s: list[float] = []
        self.first_send_at: float | None = None
        self.last_send_at: float | None = None

    @property
    def tallies(self) -> list[senders.Tally]:
        """Of every client."""
        return [client.tally for client in self._clients]

    def run(self, commands: Commands) -> None:
        """Send every frame when it is due, or until the command `stop`.

        Raises:
            ServiceError: the deadline has come.
        """
        spec = self._spec
        schedule = pacing.Schedule(time.time(), spec.cameras * spec.frame_rate_per_s)
        emit("started", at=schedule.start)
        sent = 0
        while sent < spec.count and not commands.received("stop"):
            now = time.time()
            due = min(schedule.due(now), spec.count, sent + MOST_AT_ONCE)
            for frame in range(sent, due):
                self._send(frame, schedule.intended(frame))
            sent = due
            pause = schedule.intended(sent) - time.time()
            if pause > 0:
                time.sleep(max(pause, SHORTEST_PAUSE_S))

    def _send(self, frame: int, intended: float) -> None:
        camera = frame % self._spec.cameras
        client = self._clients[camera % len(self._clients)]
        now = time.time()
        self.first_send_at = now if self.first_send_at is None else self.first_send_at
        self.last_send_at = now
        self.late_s.append(now - intended)
        client.send(
            self._payloads[frame % len(self._payloads)],
            struct.pack(">Q", frame),
            camera % self.partitions,
            int(intended * 1000),
            self.acks.of(frame),
        )
        # Its acknowledgements so far; each camera has its turn often enough.
        client.idle(0.0)

    def finish(self) -> None:
        """Wait for every acknowledgement, or the deadline."""
        for client in self._clients:
            client.finish()


def program(raw: dict[str, Any], commands: Commands) -> None:
    """Run `cameras`: events ready, started, progress ..., done."""
    spec = parse(CamerasSpec, raw)
    dataset = datasets.load(spec.dataset)
    clients = [
        senders.create(
            senders.CONFLUENT,
            spec.bootstrap,
            spec.topic,
            spec.config,
            spec.deadline_s,
        )
        for _ in range(spec.cameras if spec.own_clients else 1)
    ]
    filming = Filming(spec, dataset.payloads(), clients)
    leaders = clients[0].leaders()
    emit(
        "ready",
        at=time.time(),
        client=clients[0].client,
        clients=len(clients),
        partitions=filming.partitions,
        leaders=leaders,
        payload_bytes=dataset.image_bytes,
    )
    stopped = threading.Event()
    ticker = threading.Thread(target=_tell_progress, args=(filming, stopped), daemon=True)
    ticker.start()
    cpu_before = time.process_time()
    failure = ""
    try:
        filming.run(commands)
    except ServiceError as error:
        failure = str(error)
    filming.finish()
    stopped.set()
    ticker.join()
    if spec.raw_path is not None:
        filming.acks.save(Path(spec.raw_path))
    tallies = filming.tallies
    sent, failed = sum(t.sent for t in tallies), sum(t.failed for t in tallies)
    acks = [tally.last_ack_at for tally in tallies if tally.last_ack_at is not None]
    emit(
        "done",
        at=time.time(),
        sent=sent,
        acked=sum(t.acked for t in tallies),
        failed=failed,
        first_send_at=filming.first_send_at,
        last_send_at=filming.last_send_at,
        last_ack_at=max(acks, default=None),
        late_p99_s=float(np.percentile(filming.late_s, 99)) if filming.late_s else None,
        late_max_s=max(filming.late_s, default=None),
        cpu_s=time.process_time() - cpu_before,
        threads=psutil.Process().num_threads(),
        clients=len(clients),
        client=clients[0].client,
        partitions=filming.partitions,
        leaders=leaders,
        payload_bytes=dataset.image_bytes,
    )
    if failure or failed:
        first = next((t.first_failure for t in tallies if t.first_failure), "")
        raise ServiceError(failure or f"{failed} of {sent} frames failed: {first}")


def _tell_progress(filming: Filming, stopped: threading.Event) -> None:
    while not stopped.wait(PROGRESS_EVERY_S):
        tallies = filming.tallies
        emit(
            "progress",
            sent=sum(tally.sent for tally in tallies),
            acked=sum(tally.acked for tally in tallies),
            at=time.time(),
        )
