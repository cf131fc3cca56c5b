"""Instants as text, held against the calendar of the standard library."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inplace.model.instants import seconds_of, time_of_day

INSTANTS = st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2200, 1, 1))


@given(INSTANTS, st.integers(-840, 840))
def test_it_is_what_the_calendar_says(naive: datetime, minutes: int) -> None:
    at = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    found = seconds_of(at.isoformat())
    assert found is not None
    assert abs(found - at.timestamp()) < 1e-3


def test_as_the_cluster_writes_them() -> None:
    wanted = datetime(2026, 2, 28, 2, 11, 5, tzinfo=UTC).timestamp()
    assert seconds_of("2026-02-28T02:11:05Z") == wanted
    assert seconds_of("2026-02-28T02:11:05.500000Z") == wanted + 0.5
    assert time_of_day("2026-02-28T02:11:05Z") == "02:11 UTC"


@pytest.mark.parametrize(
    "text", [None, "", "yesterday", "2026-02-28", "2026-02-28T02:11:05", "2026-02-28T02:11:05Z\n", "٢٠٢٦-02-28T02:11:05Z"]
)
def test_what_is_none_is_none(text: str | None) -> None:
    assert seconds_of(text) is None
    assert time_of_day(text or "") == ""
