"""Kafka answers nobody who should not be answered, and gives each account its rights alone."""

import json

import pytest
from tests.system.tools import Bed


@pytest.mark.parametrize("node", ["client", "cloud"])
def test_kafka_answers_nobody_without_the_right_password(bed: Bed, node: str) -> None:
    """From another node, and from its own, where other users' programs run too."""
    address = bed.inventory.node("cloud").bed_address
    topic = "streambed-images-of-others"
    bed.program("cloud", "kafka_kept", address, topic, "put")
    found = json.loads(bed.program(node, "kafka_strangers", address, topic))
    assert bed.program("cloud", "kafka_kept", address, topic, "get").strip() == "10"
    assert found.pop("right") is True
    for what in ("producer creates a topic", "producer deletes a topic"):
        assert found.pop(what) == "TOPIC_AUTHORIZATION_FAILED"
    assert {what for what, answered in found.items() if answered} == set()


def test_a_session_without_encryption_ends_when_its_way_is_closed(bed: Bed) -> None:
    said = bed.program("cloud", "kafka_session", bed.inventory.node("cloud").bed_address)
    assert said.split() == ["True", "False"]


def test_each_account_may_do_what_it_needs_and_nothing_else(bed: Bed) -> None:
    """On topics of each kind, and on one of others."""
    said = bed.program("cloud", "kafka_rights", bed.inventory.node("cloud").bed_address)
    outcomes = {tuple(tried): outcome for *tried, outcome in json.loads(said)}
    assert {tried for tried, outcome in outcomes.items() if outcome == "done"} == {
        ("producer", "write", "images"),
        *(("classifier", "write", kind) for kind in ("results", "dead")),
        ("classifier", "read", "images"),
        *(
            ("admin", what, kind)
            for what in ("create", "read", "delete")
            for kind in ("images", "results", "dead")
        ),
    }, outcomes
    # Refused, not merely without an answer; but nobody can make the other topic to be read.
    unmade = {(user, "read", "others") for user in ("classifier", "admin")}
    assert {outcomes.pop(tried) for tried in unmade} == {"nothing"}
    refused = {f"{what}_AUTHORIZATION_FAILED" for what in ("TOPIC", "GROUP", "CLUSTER")}
    assert set(outcomes.values()) == {"done", *refused}, outcomes


def test_a_controller_answers_nobody_without_a_certificate(bed: Bed) -> None:
    """From its own node, where no firewall is in the way."""
    address = bed.inventory.node("cloud").bed_address
    found = json.loads(bed.program("cloud", "kafka_controller", address))
    assert found.pop("right") is True
    assert {what for what, answered in found.items() if answered} == set()


def test_certificates_are_renewed_without_losing_data(bed: Bed) -> None:
    address = bed.inventory.node("cloud").bed_address
    topic = "streambed-images-kept"
    bed.program("cloud", "kafka_kept", address, topic, "put")
    shown = f"echo | openssl s_client -connect {address}:9092 2>/dev/null | openssl x509 -noout"
    before = bed.root("cloud", f"{shown} -serial")
    bed.playbook(name="renew")
    assert bed.root("cloud", f"{shown} -serial") != before
    assert bed.program("cloud", "kafka_kept", address, topic, "get").strip() == "10"
