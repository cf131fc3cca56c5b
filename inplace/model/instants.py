"""Instants as Kubernetes writes them, as seconds: to be shown, since no clock of a cluster decides anything."""

from __future__ import annotations

import re

_INSTANT = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d{1,9})?(?:Z|([+-])(\d\d):(\d\d))\Z", re.ASCII)


def seconds_of(text: str | None) -> float | None:
    """Seconds since 1970; None for what is no instant."""
    found = _INSTANT.match(text or "")
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(found[i]) for i in range(1, 7))
    offset = (int(found[9]) * 3600 + int(found[10]) * 60) * (-1 if found[8] == "-" else 1) if found[8] else 0
    return _days(year, month, day) * 86400.0 + hour * 3600 + minute * 60 + second + float(found[7] or 0) - offset


def _days(year: int, month: int, day: int) -> int:
    """Since 1970-01-01, of the Gregorian calendar. March is the first month of a year here, so that a leap day is its last."""
    shifted = year - (month <= 2)
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return shifted * 365 + shifted // 4 - shifted // 100 + shifted // 400 + of_year - 719468


def time_of_day(text: str) -> str:
    """`02:11 UTC` of an instant; empty for what is none."""
    return f"{text[11:16]} UTC" if _INSTANT.match(text) and text.endswith("Z") else ""
