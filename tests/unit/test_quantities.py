"""Quantities: what is accepted, and that every refusal names the value and what is allowed."""

import pytest

from streambed import quantities
from streambed.errors import StreambedError


@pytest.mark.parametrize(
    ("text", "bit_per_s"),
    [("10 Mbit/s", 1e7), ("1Gbit/s", 1e9), ("64 kbit/s", 64e3), ("1.5 Mbit/s", 1.5e6)],
)
def test_rates(text: str, bit_per_s: float) -> None:
    assert quantities.parse_rate(text) == pytest.approx(bit_per_s)


@pytest.mark.parametrize(
    "text", ["fast", "10", "10 Mb/s", "nan Mbit/s", "0 Mbit/s", "-1 Mbit/s", 10, "1e999 Mbit/s", ""]
)
def test_a_rate_that_is_none_is_refused_with_its_value(text: object) -> None:
    with pytest.raises(StreambedError) as caught:
        quantities.parse_rate(text)
    assert repr(text) in caught.value.message
    assert "Mbit/s" in caught.value.message


@pytest.mark.parametrize(
    ("text", "seconds"), [("2 s", 2.0), ("500 ms", 0.5), ("1.5 min", 90.0), ("1 h", 3600.0)]
)
def test_durations(text: str, seconds: float) -> None:
    assert quantities.parse_duration(text) == pytest.approx(seconds)


def test_zero_is_a_duration_only_where_it_means_something() -> None:
    assert quantities.parse_duration("0 s", zero_ok=True) == 0
    with pytest.raises(StreambedError):
        quantities.parse_duration("0 s")


def test_sizes() -> None:
    assert quantities.parse_size("2 GiB") == 2 * 2**30
    assert quantities.parse_size("5 MB") == 5_000_000


@pytest.mark.parametrize("rate", [64e3, 1e7, 1e8, 1e9])
def test_a_formatted_rate_reads_back(rate: float) -> None:
    assert quantities.parse_rate(quantities.format_rate(rate)) == pytest.approx(rate)


def test_long_durations_are_told_in_minutes_and_hours() -> None:
    assert quantities.format_duration(75) == "1 min 15 s"
    assert quantities.format_duration(3 * 3600 + 120) == "3 h 2 min"
