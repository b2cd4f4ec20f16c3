"""Jinja filter that gives each node of a Kafka cluster its id."""

from __future__ import annotations

from collections.abc import Callable, Sequence

FIRST_CONTROLLER = 101
"""Of controllers that are no brokers: so that brokers may be added without changing theirs."""


def kafka_id(name: str, brokers: Sequence[str], controllers: Sequence[str]) -> int:
    """Place among the brokers, from 1; of a controller alone, among the controllers, from 101.

    Raises:
        ValueError: it is neither.
    """
    if name in brokers:
        return list(brokers).index(name) + 1
    return list(controllers).index(name) + FIRST_CONTROLLER


class FilterModule:
    """What Ansible looks for in this file."""

    def filters(self) -> dict[str, Callable[..., int]]:
        return {"kafka_id": kafka_id}
