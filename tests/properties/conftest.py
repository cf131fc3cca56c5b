"""`INPLACE_HYPOTHESIS=thorough` runs 2,000 examples of each property; the default is a fixed handful."""

import os

from hypothesis import HealthCheck, settings

_COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow], "database": None}
settings.register_profile("quick", max_examples=60, derandomize=True, **_COMMON)
settings.register_profile("thorough", max_examples=2000, derandomize=False, print_blob=True, **_COMMON)
settings.load_profile(os.environ.get("INPLACE_HYPOTHESIS", "quick"))
