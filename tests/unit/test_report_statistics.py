"""Medians, ratios and their intervals."""

import pytest

from streambed.report.statistics import estimate, ratio


def test_estimates_are_medians_with_a_seeded_interval() -> None:
    found = estimate([5.0, 1.0, 3.0, 2.0, 4.0])
    assert found is not None
    assert (found.median, found.n) == (3.0, 5)
    assert found.low is not None
    assert found.high is not None
    assert 1.0 <= found.low < 3.0 < found.high <= 5.0
    assert estimate([5.0, 1.0, 3.0, 2.0, 4.0]) == found
    assert estimate([]) is None
    same = estimate([2.0, 2.0, 2.0])
    assert same is not None
    assert (same.low, same.high) == (2.0, 2.0)


def test_a_ratio_has_an_interval_when_both_have_repeats() -> None:
    found = ratio([2.0, 2.1, 2.2], [1.0, 1.0, 1.1])
    assert found is not None
    assert found.median == pytest.approx(2.1)
    assert found.low is not None
    assert ratio([2.0], [1.0]).low is None  # type: ignore[union-attr]
    assert ratio([1.0, 2.0, 3.0], [0.0, 1.0, 1.0]).low is None  # type: ignore[union-attr]
    assert ratio([1.0], [0.0]) is None
    assert ratio([], [1.0]) is None


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [
        ([7.0], None, None),
        ([7.0, 9.0], None, None),
        ([9.0, 7.0, 8.0], 7.0, 9.0),
        ([1.0, 2.0, 3.0, 4.0, 5.0], 1.0, 5.0),
    ],
)
def test_an_interval_is_never_wider_than_the_repeats(
    values: list[float], low: float | None, high: float | None
) -> None:
    found = estimate(values)
    assert found is not None
    assert (found.low, found.high) == (low, high)


def test_many_repeats_narrow_the_interval() -> None:
    values = [float(value) for value in range(101)]
    found = estimate(values)
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    # Order statistics: the 40th and the 60th of 101 bound the median at 95 %.
    assert 38 <= found.low <= 43
    assert 57 <= found.high <= 62
