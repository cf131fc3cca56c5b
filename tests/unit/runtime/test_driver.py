"""The driver's plain rules. What it does over time is in tests/sim and tests/scenarios."""

from inplace.runtime.driver import rest_seconds


def test_what_is_refused_rests_for_longer_each_time_up_to_a_limit_and_for_ever() -> None:
    assert [rest_seconds(times) for times in (0, 1, 2)] == [0.1, 0.2, 0.4]
    assert rest_seconds(6) == rest_seconds(100_000) == 5.0
