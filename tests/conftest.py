"""`INPLACE_HYPOTHESIS=thorough` runs 2,000 examples of each property; the default is a fixed handful."""

import os
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.cluster.plugin"]

_COMMON = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None)
settings.register_profile("quick", _COMMON, max_examples=100, derandomize=True)
settings.register_profile("thorough", _COMMON, max_examples=2000, print_blob=True)
settings.load_profile(os.environ.get("INPLACE_HYPOTHESIS", "quick"))


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """Commands that run in this process say for all of it where log lines go."""
    yield
    structlog.reset_defaults()
