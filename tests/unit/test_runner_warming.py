"""When a rehearsal is good enough for the cell to begin."""

import pytest

from streambed.runner.warming import on_time


def batches(*entries: tuple[int, float]) -> list[dict[str, float]]:
    """(rows, execution_s) of each."""
    return [{"rows": rows, "execution_s": took} for rows, took in entries]


@pytest.mark.parametrize(
    ("entries", "good"),
    [
        ([(900, 1.4), (1000, 0.9), (1000, 0.8), (1000, 0.8), (300, 0.3)], True),
        ([(900, 0.9), (1000, 0.9), (1300, 1.2), (1500, 1.1), (300, 0.3)], False),
        # What is left over at the end, and empty triggers, say nothing.
        ([(1000, 0.8), (1000, 0.8), (1000, 0.8), (0, 0.1), (300, 2.0)], True),
        ([(1000, 2.0)], True),
        ([], True),
    ],
)
def test_the_last_full_batches_must_end_within_their_trigger(
    entries: list[tuple[int, float]], good: bool
) -> None:
    assert on_time(batches(*entries), 1.0) is good
