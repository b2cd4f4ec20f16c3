"""Who may train: each thing that a rank says of itself is held against what was asked for."""

from typing import Any

import pytest

from streambed.pipelines.training.roll import Roll

FIRST, SECOND = "10.9.0.21", "10.9.0.22"
VERSIONS = {"engine": "chainermn", "chainer": "7.8.1"}


def roll() -> Roll:
    """Two workers with two ranks each, and 30 images for each rank."""
    return Roll(
        engine="chainermn",
        ranks=4,
        each=2,
        images=30,
        nodes=frozenset({FIRST, SECOND}),
        homes={0: FIRST, 1: SECOND, 2: FIRST, 3: SECOND},
    )


def told(number: int, **more: Any) -> dict[str, Any]:
    """What the rank of this number says when all is well."""
    given = {
        "rank": number,
        "address": (FIRST, SECOND)[number % 2],
        "shard": number,
        "images": 30,
        "versions": dict(VERSIONS),
    }
    return {**given, **more}


def test_those_who_were_asked_for_may_train_in_any_order() -> None:
    asked = roll()
    assert [asked.refusal(told(number)) for number in (3, 0, 2, 1)] == [None] * 4


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"rank": 4}, "its number is 4, of 4 ranks"),
        ({"rank": None}, "its number is None"),
        ({"rank": True}, "its number is True"),
        ({"rank": 0}, "there is a rank of that number"),
        ({"address": "10.9.0.99"}, "its node is none of 10.9.0.21, 10.9.0.22"),
        ({"address": None}, "its node is none of"),
        ({"shard": 9}, "is 9, which nobody wrote"),
        ({"shard": 2}, "2, was written on 10.9.0.21"),
        ({"address": FIRST, "shard": 0}, "another rank has its part of the images, 0"),
        ({"images": 29}, "it has 29 images, and should have 30"),
        ({"versions": {"engine": "torch"}}, "not with chainermn"),
        ({"versions": None}, "it computes with None, not with chainermn"),
        ({"versions": {**VERSIONS, "chainer": "7.8.0"}}, "its versions are"),
    ],
)
def test_whoever_differs_is_refused_with_what_differs(more: dict[str, Any], words: str) -> None:
    asked = roll()
    assert asked.refusal(told(0)) is None
    reason = asked.refusal(told(1, **more))
    assert reason is not None
    assert words in reason


def test_a_node_has_no_more_ranks_than_were_asked_for() -> None:
    asked = roll()
    assert asked.refusal(told(0)) is None
    assert asked.refusal(told(2)) is None
    assert "has 2 ranks, which are all" in str(asked.refusal(told(1, address=FIRST)))


def test_who_was_refused_takes_nobody_s_place() -> None:
    asked = roll()
    assert asked.refusal(told(1, images=0)) is not None
    assert asked.refusal(told(1)) is None
