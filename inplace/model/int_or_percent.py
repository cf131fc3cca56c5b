"""Parses and scales counts or percentages of pods (`IntOrString`).

Scaling is exact integer arithmetic: `scaled_floor` for budgets, so that a budget is never exceeded, and `scaled_ceil` for
steps, so that a step of a non-empty workload is never empty. kruise v1.2 once rounded a partition of 90 % of 8 up and updated
nothing.
"""

from __future__ import annotations


def parse_int_or_percent(text: str) -> int | str:
    """Parses `3` into 3 and `25%` into "25%". Raises ValueError with one line for a user."""
    if text.isascii() and text.isdigit():
        return int(text)
    if text.endswith("%") and text[:-1].isascii() and text[:-1].isdigit() and int(text[:-1]) <= 100:
        return f"{int(text[:-1])}%"
    raise ValueError(f"{text!r} is neither a number of pods nor a percentage from 0% to 100%")


def scaled_floor(value: int | str, total: int) -> int:
    """Returns how many of `total` pods may be unavailable: percentages round down, but any above 0 allow at least 1."""
    if isinstance(value, int):
        return value
    percent = int(value[:-1])
    return max(1, total * percent // 100) if percent else 0


def scaled_ceil(percent: int, total: int) -> int:
    """Returns how many of `total` pods a step of `percent` covers, rounded up."""
    return -(-total * percent // 100)
