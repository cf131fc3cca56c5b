"""Whether a pull that failed may succeed when the kubelet tries again, by what the kubelet says of it.

The words are containerd's, collected from a real kubelet 1.36.3 (tests/unit/engine/pods/test_pull_errors.py holds them).
There is no field for the class of an error: only the message tells a missing tag from a registry that is down.
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
"""Quoted, or with a dot or a slash inside: images, hosts, addresses. Whoever chose them may have called one `timeout`."""


def classify_pull_error(message: str) -> PullErrorClass:
    """`Unknown`: words that nobody has classified yet.

    What says both is transient: a registry that is down behind a proxy may answer with anything, and to wait for the deadline
    costs time, where to go back costs restarts.
    """
    said = _NAMES.sub("", message)
    if _TRANSIENT.search(said):
        return "Transient"
    return "Permanent" if _PERMANENT.search(said) else "Unknown"
