"""`INPLACE_HYPOTHESIS=thorough` runs 2,000 examples of each property; the default is a fixed handful."""

import os
import signal
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.cluster.plugin"]

_COMMON = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None)
settings.register_profile("quick", _COMMON, max_examples=100, derandomize=True)
settings.register_profile("thorough", _COMMON, max_examples=2000, print_blob=True)
settings.load_profile(os.environ.get("INPLACE_HYPOTHESIS", "quick"))


@pytest.fixture(scope="session", autouse=True)
def signals_as_in_a_terminal() -> None:
    """Started by nohup, or as a job in the background, the runner ignores signals, and commands would inherit that: a handler
    that does nothing keeps the runner as deaf as it was, and is not inherited."""
    for number in (signal.SIGHUP, signal.SIGINT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """Commands that run in this process say for all of it where log lines go."""
    yield
    structlog.reset_defaults()
