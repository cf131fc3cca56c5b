"""Counts, percentages and durations as people write them."""

import pytest

from inplace.model.durations import format_duration, parse_duration
from inplace.model.int_or_percent import parse_int_or_percent, scaled_ceil, scaled_floor


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0.0), ("90", 90.0), ("1.5", 1.5), ("90s", 90.0), ("500ms", 0.5), ("1h30m", 5400.0), ("2m0.5s", 120.5)],
)
def test_durations_as_people_write_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "s", "-5s", "5 s", "1h30", "5x", "1d", "s5", ".5s", "1e3", "5s\n"])
def test_what_is_no_duration_is_named_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration: write it like 30s, 5m or 1h30m"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0s"),
        (0.04, "0s"),
        (0.44, "0.4s"),
        (9.97, "10s"),
        (12.4, "12s"),
        (59.7, "1m"),
        (200.0, "3m20s"),
        (65.0, "1m05s"),
        (3599.9, "1h00m"),
        (7500.0, "2h05m"),
    ],
)
def test_durations_are_shown_at_a_glance(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "value"), [("0", 0), ("3", 3), ("25%", "25%"), ("0%", "0%"), ("007%", "7%"), ("100%", "100%")]
)
def test_counts_and_percentages(text: str, value: int | str) -> None:
    assert parse_int_or_percent(text) == value


@pytest.mark.parametrize("text", ["", "%", "-1", "101%", "1.5", "5 %", "a", "٣", "٣%", "5%%"])
def test_a_value_neither_count_nor_percentage(text: str) -> None:
    with pytest.raises(ValueError, match="neither a number of pods nor a percentage"):
        parse_int_or_percent(text)


@pytest.mark.parametrize(
    ("value", "total", "budget"),
    [
        (0, 10, 0),
        (1, 10, 1),
        (3, 2, 3),
        ("0%", 10, 0),
        ("33%", 7, 2),
        ("25%", 3, 1),
        ("1%", 5, 1),
        ("99%", 10, 9),
        ("100%", 7, 7),
        ("29%", 100, 29),
    ],
)
def test_a_budget_rounds_down_but_anything_above_zero_allows_one(value: int | str, total: int, budget: int) -> None:
    assert scaled_floor(value, total) == budget


@pytest.mark.parametrize(
    ("percent", "total", "share"),
    [(10, 10, 1), (10, 11, 2), (1, 3, 1), (90, 8, 8), (50, 7, 4), (100, 7, 7), (50, 0, 0), (29, 100, 29)],
)
def test_a_share_rounds_up(percent: int, total: int, share: int) -> None:
    assert scaled_ceil(percent, total) == share
