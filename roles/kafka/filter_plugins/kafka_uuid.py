"""Jinja filter that derives the identifiers Kafka's storage is formatted with."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable


def kafka_uuid(text: str) -> str:
    """A Kafka UUID: 22 characters of URL-safe base64, not led by a dash, made from `text` only.

    Derived, not drawn: every broker of a cluster renders the same one without asking another.
    """
    for salt in range(100):
        digest = hashlib.sha256(f"{salt} {text}".encode()).digest()[:16]
        uuid = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        # Kafka's tools would take it for an option.
        if not uuid.startswith("-"):
            return uuid
    raise ValueError(f"no UUID found for {text!r}")


class FilterModule:
    """What Ansible looks for in this file."""

    def filters(self) -> dict[str, Callable[..., str]]:
        return {"kafka_uuid": kafka_uuid}
