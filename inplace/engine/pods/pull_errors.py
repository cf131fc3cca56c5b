"""Decides from the kubelet's message whether a failed pull may succeed when the kubelet tries again.

The patterns are containerd's messages, collected from a real kubelet 1.36.3 (tests/unit/engine/pods/test_pull_errors.py holds
them). No field has the class of an error: only the message tells a missing tag from a registry that is down.
"""

from __future__ import annotations

import re
from typing import Literal

PullErrorClass = Literal["Permanent", "Transient", "Unknown"]

_PERMANENT = re.compile(
    r"\bnotfound\b|not found|manifest unknown|name unknown|repository does not exist|no match for platform"
    r"|\b401\b|unauthorized|authentication required|no basic auth credentials|insufficient_scope|authorization failed"
    r"|\b403\b|forbidden|\bdenied\b|invalid reference format|unsupported media type",
    re.IGNORECASE,
)
_TRANSIENT = re.compile(
    r"\b429\b|too ?many ?requests|rate limit|pull QPS exceeded|\b408\b"
    r"|\b5\d\d [A-Z]|bad gateway|service unavailable|internal server error"
    r"|time-?out|timed out|deadline ?exceeded|awaiting headers"
    r"|no such host|server misbehaving|temporary failure in name resolution"
    r"|connection (?:refused|reset)|no route to host|network is unreachable|broken pipe|\bEOF\b"
    r"|failed to reserve container name",
    re.IGNORECASE,
)
_NAMES = re.compile(r'"[^"]*"|\S*\w[./]\w\S*')
"""Images, hosts and addresses: quoted, or with a dot or a slash inside. Such a name may itself contain `timeout`."""


def classify_pull_error(message: str) -> PullErrorClass:
    """Classifies a pull error; `Unknown` if it matches no pattern.

    A message that matches both counts as transient: a registry that is down behind a proxy may answer with anything, and
    waiting for the deadline only costs time, while a rollback costs restarts.
    """
    text = _NAMES.sub("", message)
    if _TRANSIENT.search(text):
        return "Transient"
    return "Permanent" if _PERMANENT.search(text) else "Unknown"
