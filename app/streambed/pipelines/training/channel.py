"""What ranks tell the driver while a Spark job of theirs runs, and what it tells them first.

Spark hands over what a task returns when the task has ended; progress and checkpoints are wanted
before. So each rank opens a connection to the driver's address: authenticated by a key of the
application (multiprocessing.connection), messages are a JSON object and bytes. A rank's first
message is `hello`; the answer is where to start from.
"""

import contextlib
import json
import queue
import secrets
import struct
import threading
import time
from dataclasses import dataclass, field
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from typing import Any

from streambed.pipelines.errors import ServiceError

HELLO, BEAT, EPOCH, DONE, FAILED, GONE = "hello", "beat", "epoch", "done", "failed", "gone"

_HEAD = struct.Struct(">I")


@dataclass(frozen=True)
class Message:
    """`kind` is one of the words above; `data` is a checkpoint, or nothing."""

    kind: str
    fields: dict[str, Any]
    data: bytes = b""


def encode(message: Message) -> bytes:
    """Length of the JSON text, the text, the bytes."""
    head = json.dumps({**message.fields, "kind": message.kind}, allow_nan=False).encode()
    return _HEAD.pack(len(head)) + head + message.data


def decode(raw: bytes) -> Message:
    """The message again.

    Raises:
        ValueError: it is none.
    """
    try:
        (length,) = _HEAD.unpack_from(raw)
        fields = json.loads(raw[_HEAD.size : _HEAD.size + length])
        kind = fields.pop("kind")
    except (struct.error, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a message: {error!r}") from None
    return Message(str(kind), fields, raw[_HEAD.size + length :])


@dataclass
class Start:
    """Where ranks begin: after `epochs` whole epochs, with the state reached then, if any."""

    stretch: int = 0
    epochs: int = 0
    state: bytes = b""


@dataclass
class Ears:
    """The driver's side: hears the ranks of the newest stretch, each in a thread of its own."""

    address: str
    port: int
    key: bytes = field(default_factory=lambda: secrets.token_bytes(24))
    start: Start = field(default_factory=Start)
    _heard: "queue.Queue[Message]" = field(default_factory=queue.Queue)

    def __post_init__(self) -> None:
        try:
            self._listener = Listener((self.address, self.port), backlog=64, authkey=self.key)
        except OSError as error:
            raise ServiceError(
                f"{self.address}:{self.port} cannot be listened on: {error.strerror}"
            ) from None
        threading.Thread(target=self._accept, name="ears", daemon=True).start()

    def begin(self, start: Start) -> None:
        """From now on ranks begin there, and those of earlier stretches are not heard."""
        self.start = start

    def hear(self, timeout_s: float) -> Message | None:
        """The next message of this stretch; None when there is none in time."""
        deadline = time.monotonic() + timeout_s
        while (left_s := deadline - time.monotonic()) > 0:
            try:
                message = self._heard.get(timeout=left_s)
            except queue.Empty:
                return None
            if message.fields.get("stretch") == self.start.stretch:
                return message
        return None

    def close(self) -> None:
        """Hear nobody any more."""
        with contextlib.suppress(OSError):
            self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection = self._listener.accept()
            except (AuthenticationError, EOFError, ConnectionError):
                continue  # somebody without the key, or who went away again
            except OSError:
                return  # closed
            threading.Thread(target=self._read, args=(connection,), daemon=True).start()

    def _read(self, connection: Connection) -> None:
        about: dict[str, Any] = {}
        finished = False
        with connection, contextlib.suppress(EOFError, OSError, ValueError):
            while True:
                message = decode(connection.recv_bytes())
                if message.kind == HELLO:
                    about = {name: message.fields.get(name) for name in ("stretch", "rank")}
                    if about["stretch"] != self.start.stretch:
                        return  # left over from a stretch that was given up
                    told = {"epochs": self.start.epochs}
                    connection.send_bytes(encode(Message("start", told, self.start.state)))
                finished = finished or message.kind in (DONE, FAILED)
                self._heard.put(message)
        if about and not finished:
            self._heard.put(Message(GONE, about))


class Voice:
    """A rank's side."""

    def __init__(self, address: str, port: int, key: bytes, **always: Any) -> None:
        """Connect; `always` is part of every message: stretch and rank."""
        self._always = always
        self._connection = Client((address, port), authkey=key)

    def hello(self, **fields: Any) -> tuple[int, bytes]:
        """Tell who this is; returns epochs that are done and the state reached then.

        Raises:
            EOFError: the driver does not want this rank any more.
        """
        self.tell(HELLO, **fields)
        answer = decode(self._connection.recv_bytes())
        return int(answer.fields["epochs"]), answer.data

    def tell(self, kind: str, data: bytes = b"", **fields: Any) -> None:
        """Send a message."""
        self._connection.send_bytes(encode(Message(kind, {**self._always, **fields}, data)))
