"""Who may do what in a cluster: what /etc/kafka/acls.json says, and nothing else.

Part of kafka-ready, so that no broker counts as started before its rules are in force.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

RULES = Path("/etc/kafka/acls.json")
REQUEST_S = 10


def wanted() -> Iterator[AclBinding]:
    """The file's rules in librdkafka's terms, whose BROKER is CLUSTER in a rule."""
    for each in json.loads(RULES.read_text()):
        if "topic" in each:
            on = (ResourceType.TOPIC, each["topic"], ResourcePatternType.PREFIXED)
        elif "group" in each:
            on = (ResourceType.GROUP, each["group"], ResourcePatternType.PREFIXED)
        else:
            on = (ResourceType.BROKER, "kafka-cluster", ResourcePatternType.LITERAL)
        for operation in each["operations"]:
            to = (f"User:{each['user']}", "*", operation, AclPermissionType.ALLOW)
            yield AclBinding(*on, *to)


def _exactly(rule: AclBinding) -> AclBindingFilter:
    return AclBindingFilter(
        rule.restype,
        rule.name,
        rule.resource_pattern_type,
        rule.principal,
        rule.host,
        rule.operation,
        rule.permission_type,
    )


def enforce(client: AdminClient) -> None:
    """Create rules that are missing, delete those that nobody wrote.

    Raises:
        KafkaException: the cluster refused, or did not answer.
    """
    kinds = (AclOperation.ANY, AclPermissionType.ANY)
    every = AclBindingFilter(ResourceType.ANY, None, ResourcePatternType.ANY, None, None, *kinds)
    rules = set(wanted())
    found = set(client.describe_acls(every, request_timeout=REQUEST_S).result())
    answers: list[Any] = []
    if missing := rules - found:
        answers += client.create_acls(list(missing), request_timeout=REQUEST_S).values()
    if surplus := found - rules:
        filters = [_exactly(rule) for rule in surplus]
        answers += client.delete_acls(filters, request_timeout=REQUEST_S).values()
    for answer in answers:
        answer.result()
