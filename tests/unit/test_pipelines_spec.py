"""Specs of the node programs: mistakes are told with the key, the value and what is allowed."""

from typing import Any

import pytest

from streambed.pipelines.collect import CollectSpec
from streambed.pipelines.errors import SpecError
from streambed.pipelines.ledger import IdRange
from streambed.pipelines.produce import ProduceSpec
from streambed.pipelines.spec import parse, parse_line

PRODUCE: dict[str, Any] = {"bootstrap": "b:9092", "topic": "t", "count": 10}


def test_nested_objects_lists_and_defaults() -> None:
    spec = parse(ProduceSpec, {**PRODUCE, "rate_per_s": 100, "config": {"acks": "1"}})
    assert (spec.rate_per_s, spec.config.acks, spec.config.compression) == (100.0, "1", "none")
    collect = parse(
        CollectSpec,
        {
            "bootstrap": "b",
            "result_topic": "r",
            "count": 1,
            "raw_path": "p",
            "warm_up": [{"first": 3, "count": 4}],
        },
    )
    assert collect.warm_up == [IdRange(3, 4)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"topik": "x"}, ["'topik'", "allowed", "topic"]),
        ({"count": "10"}, ["count", "int", "'10'"]),
        ({"count": True}, ["count", "int"]),
        ({"count": 0}, ["count must be >= 1"]),
        ({"rate_per_s": -1}, ["rate_per_s", "-1"]),
        ({"producer": "kafka"}, ["'kafka'", "confluent-kafka", "kafka-python"]),
        ({"config": {"acks": "2"}}, ["spec.config", "'2'", "'all'"]),
        ({"config": {"linger": 2}}, ["spec.config", "'linger'", "linger_ms"]),
        ({"config": 3}, ["spec.config", "object"]),
    ],
)
def test_mistakes_are_told(change: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(SpecError) as caught:
        parse(ProduceSpec, {**PRODUCE, **change})
    for word in words:
        assert word in str(caught.value)


def test_a_missing_key_is_named() -> None:
    with pytest.raises(SpecError, match="'topic' is missing"):
        parse(ProduceSpec, {"bootstrap": "b", "count": 1})


@pytest.mark.parametrize("line", ["", "[]", "null", "{"])
def test_a_first_line_that_is_no_object(line: str) -> None:
    with pytest.raises(SpecError):
        parse_line(line)
