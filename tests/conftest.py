"""`INPLACE_HYPOTHESIS=thorough` runs 2,000 examples of each property; the default is a fixed handful."""

import os

from hypothesis import HealthCheck, settings

_COMMON = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None)
settings.register_profile("quick", _COMMON, max_examples=100, derandomize=True)
settings.register_profile("thorough", _COMMON, max_examples=2000, print_blob=True)
settings.load_profile(os.environ.get("INPLACE_HYPOTHESIS", "quick"))
