"""Where a Python program spends its CPU time, thread by thread: samples weighted by CPU clocks.

Every so often each thread's CPU clock is read, and what it used since the last reading is put down
to the function it is in now. Waiting costs nothing, so it does not show. What C code uses counts as
its caller's, or, on threads that Python does not know, as `other_s`. The sampler needs the
interpreter's lock like everybody else: a sample may be milliseconds late. Its own time is told.
"""

import sys
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

EVERY_S = 0.02
MOST_FUNCTIONS = 15

ACTIVITIES = (
    ("/ssl.py", "encryption"),
    ("kafka/record/_crc32c.py", "checksum"),
    ("kafka/record/", "record batches"),
    ("kafka/protocol/", "requests"),
    ("kafka/net/", "sockets"),
    ("kafka/metrics/", "metrics"),
    ("kafka/producer/", "queue and sender"),
    ("kafka/", "library, other"),
    ("streambed/pipelines/", "benchmark"),
    ("confluent_kafka", "library, other"),
)
"""Part of a file's path → what its functions are for; the first that applies."""

CHECKSUM = "calc_crc32c"
"""The one function of another file that does a checksum: by the extra, which is C code."""

CALLERS = ("_queued", "_wait_for_room", "idle", "finish")
"""Of sender_confluent.py: nearly all of their time is that of librdkafka, which they call."""


def activity(filename: str, function: str) -> str:
    """What a function is for."""
    if function == CHECKSUM:
        return "checksum"
    if function in CALLERS and filename.endswith("sender_confluent.py"):
        return "library, called"
    for part, name in ACTIVITIES:
        if part in filename:
            return name
    return "Python's library"


def _place(frame: FrameType) -> tuple[str, str, str]:
    """Activity, file and function of a frame."""
    filename, function = frame.f_code.co_filename, frame.f_code.co_name
    return activity(filename, function), "/".join(Path(filename).parts[-2:]), function


@dataclass
class ThreadProfile:
    """Samples while its context is entered."""

    every_s: float = EVERY_S
    _spent: dict[tuple[str, str, str, str], float] = field(
        default_factory=lambda: defaultdict(float)
    )
    """Thread, activity, file, function → seconds."""
    _clocks: dict[int, float] = field(default_factory=dict)
    _stopped: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _own_s: float = 0.0
    _process_s: float = 0.0

    def __enter__(self) -> Self:
        self._process_s = time.process_time()
        self._thread = threading.Thread(target=self._run, name="profile", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
        self._process_s = time.process_time() - self._process_s

    def _run(self) -> None:
        self._sample()  # clocks begin here
        self._spent.clear()
        while not self._stopped.wait(self.every_s):
            self._sample()
        self._own_s = time.thread_time()

    def _sample(self) -> None:
        frames = sys._current_frames()  # noqa: SLF001 (the only way to another thread's frame)
        for thread in threading.enumerate():
            ident, frame = thread.ident, None
            if ident is not None and ident != threading.get_ident() and thread.is_alive():
                frame = frames.get(ident)
            if ident is None or frame is None:
                continue
            now_s = time.clock_gettime(time.pthread_getcpuclockid(ident))
            used_s = now_s - self._clocks.get(ident, 0.0)
            self._clocks[ident] = now_s
            if used_s > 0:
                self._spent[(thread.name, *_place(frame))] += used_s

    def result(self) -> dict[str, Any]:
        """JSON-ready: `cpu_s` of the process, of each activity and function, of threads in C."""
        activities: dict[str, float] = defaultdict(float)
        for (_, name, _, _), spent_s in self._spent.items():
            activities[name] += spent_s
        other_s = max(0.0, self._process_s - sum(self._spent.values()) - self._own_s)
        largest = sorted(self._spent.items(), key=lambda entry: -entry[1])[:MOST_FUNCTIONS]
        return {
            "cpu_s": round(self._process_s, 3),
            "activities_s": {
                name: round(spent_s, 3)
                for name, spent_s in sorted(activities.items(), key=lambda entry: -entry[1])
            },
            "other_s": round(other_s, 3),
            "sampler_s": round(self._own_s, 3),
            "functions": [
                {"thread": t, "activity": a, "file": f, "function": n, "cpu_s": round(s, 3)}
                for (t, a, f, n), s in largest
            ],
        }
