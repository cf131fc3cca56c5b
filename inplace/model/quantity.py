"""Durations and counts-or-percentages as people write them.

Percentages are exact integer arithmetic: `floor` for budgets (a budget is never exceeded), `ceil` for steps (a step of a
non-empty workload is never empty). Scar: kruise v1.2 rounded a partition of 90 % of 8 up and updated nothing.
"""

from __future__ import annotations

import re

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_duration(text: str) -> float:
    """`90s`, `1h30m`, `500ms` or plain seconds to seconds. Raises ValueError with a line for a person."""
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is not a duration: write it like 30s, 5m or 1h30m")
    return sum(float(number) * _UNIT_SECONDS[unit] for number, unit in parts)


def format_duration(seconds: float) -> str:
    """Seconds to the shortest form a person reads at a glance: `0.4s`, `12s`, `3m20s`, `2h05m`."""
    if seconds < 10:
        return f"{seconds:.1f}s".replace(".0s", "s")
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s" if whole % 60 else f"{whole // 60}m"
    return f"{whole // 3600}h{whole % 3600 // 60:02}m"


def parse_count_or_percent(text: str) -> int | str:
    """`3` to 3, `25%` to "25%". Raises ValueError with a line for a person."""
    if text.isascii() and text.isdigit():
        return int(text)
    if text.endswith("%") and text[:-1].isascii() and text[:-1].isdigit() and int(text[:-1]) <= 100:
        return f"{int(text[:-1])}%"
    raise ValueError(f"{text!r} is neither a number of pods nor a percentage from 0% to 100%")


def budget_of(value: int | str, total: int) -> int:
    """How many of `total` pods may be unavailable: percentages round down, but anything above 0 allows at least 1."""
    if isinstance(value, int):
        return value
    percent = int(value[:-1])
    return max(1, total * percent // 100) if percent else 0


def share_of(percent: int, total: int) -> int:
    """How many of `total` pods a step of `percent` means: rounded up."""
    return -(-total * percent // 100)
