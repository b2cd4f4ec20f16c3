"""What ranks tell the driver while a Spark job of theirs runs, and what it tells them first.

Spark hands over what a task returns when the task has ended; progress and checkpoints are wanted
before. So each rank opens a connection to the driver's address: authenticated by a key of the
application (multiprocessing.connection), messages are a JSON object and bytes. A rank's first
message is `hello`; the answer is where to start from, or why it may not.
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
from multiprocessing.connection import (
    Client,
    Connection,
    Listener,
    answer_challenge,
    deliver_challenge,
)
from typing import Any

from streambed.pipelines.errors import ServiceError
from streambed.pipelines.training.roll import Roll

HELLO, BEAT, EPOCH, DONE = "hello", "beat", "epoch", "done"

FAILED = "failed"
"""A rank's own fault: no other start would fare better."""

STRANDED = "stranded"
"""A rank that cannot go on because of another one, or of its images' place."""

GONE = "gone"
"""Said for a rank whose connection ended without a last word."""

_START, _REFUSED = "start", "refused"

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
    except (struct.error, KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"not a message: {error!r}") from None
    return Message(str(kind), fields, raw[_HEAD.size + length :])


@dataclass
class Start:
    """Where ranks begin: after `epochs` whole epochs, with the state reached then, if any."""

    stretch: int = 0
    epochs: int = 0
    state: bytes = b""
    roll: Roll | None = None
    """Whom it is for; None: for anybody."""

    def refusal(self, fields: dict[str, Any]) -> str | None:
        """Why who says this of itself is not to begin; None when it is."""
        return None if self.roll is None else self.roll.refusal(fields)


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
            # Without the key: who is slow to prove itself would keep others waiting.
            self._listener = Listener((self.address, self.port), backlog=64)
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
            except ConnectionError:
                continue  # went away again
            except OSError:
                return  # closed
            threading.Thread(target=self._meet, args=(connection,), daemon=True).start()

    def _meet(self, connection: Connection) -> None:
        """Hear who has the key; others are not answered."""
        with connection:
            try:
                deliver_challenge(connection, self.key)
                answer_challenge(connection, self.key)
            except (AuthenticationError, EOFError, OSError, ValueError):
                return
            self._read(connection)

    def _read(self, connection: Connection) -> None:
        about: dict[str, Any] = {}
        try:
            while True:
                message = decode(connection.recv_bytes())
                about = about or self._about(message)
                if about["stretch"] < self.start.stretch:
                    return  # left over from a stretch that was given up
                if message.kind == HELLO and not self._answer(connection, message):
                    return
                self._heard.put(message)
                if message.kind in (DONE, FAILED, STRANDED):
                    return
        except (EOFError, OSError):
            if about:
                self._heard.put(Message(GONE, about))
        except ValueError as error:
            where = about or {"stretch": self.start.stretch}
            reason = f"it is not understood: {error}"
            self._heard.put(Message(FAILED, {**where, "reason": reason}))

    def _about(self, message: Message) -> dict[str, Any]:
        """Whose first message this is; raises ValueError when it does not say."""
        about = {name: message.fields.get(name) for name in ("stretch", "rank", "address")}
        stretch = about["stretch"]
        if not isinstance(stretch, int) or stretch > self.start.stretch:
            raise ValueError(f"it says that it is of start {stretch!r} of all ranks")
        if message.kind not in (HELLO, FAILED, STRANDED):
            raise ValueError(f"it says {message.kind!r} before it has introduced itself")
        return about

    def _answer(self, connection: Connection, message: Message) -> bool:
        """Tell a rank where to begin, or why it may not: then it has failed, for everybody."""
        start = self.start
        reason = start.refusal(message.fields)
        if reason is None:
            told = {"epochs": start.epochs}
            connection.send_bytes(encode(Message(_START, told, start.state)))
            return True
        self._heard.put(Message(FAILED, {**message.fields, "reason": reason}))
        with contextlib.suppress(OSError):
            connection.send_bytes(encode(Message(_REFUSED, {"reason": reason})))
        return False


class GivenUp(Exception):
    """The driver does not want this rank any more."""


class Refused(Exception):
    """The driver found that this rank is not one that it asked for."""


class Voice:
    """A rank's side."""

    def __init__(self, address: str, port: int, key: bytes, /, **always: Any) -> None:
        """Connect; `always` is part of every message, such as the stretch."""
        self._always = always
        self._connection = Client((address, port), authkey=key)
        self._speaking = threading.Lock()

    def always(self, **fields: Any) -> None:
        """What is part of every message from now on."""
        self._always = {**self._always, **fields}

    def hello(self, **fields: Any) -> tuple[int, bytes]:
        """Tell who this is; returns epochs that are done and the state reached then.

        Raises:
            GivenUp: the driver has begun anew.
            Refused: it wanted another one; it knows why, and has given up for all.
        """
        try:
            self.tell(HELLO, **fields)
            answer = decode(self._connection.recv_bytes())
        except (EOFError, ConnectionError) as error:
            raise GivenUp from error
        if answer.kind == _REFUSED:
            raise Refused(str(answer.fields["reason"]))
        return int(answer.fields["epochs"]), answer.data

    def tell(self, kind: str, data: bytes = b"", **fields: Any) -> None:
        """Send a message; any thread may.

        Raises:
            OSError: the driver is gone.
        """
        raw = encode(Message(kind, {**self._always, **fields}, data))
        with self._speaking:
            self._connection.send_bytes(raw)
