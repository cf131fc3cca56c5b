"""Cuts JSON down to a depth that an interpreter can follow, without recursion.

The API server accepts 10,000 levels; msgspec recurses, also through what it skips, and gives up at the interpreter's limit
(1,000 in Python 3.11). What we read is never nested deeper than some twenty levels; what people nest as deep is
`managedFields`, or the data of a ControllerRevision (measured: 9,000 levels are stored).
"""

from __future__ import annotations

import re

MAX_DEPTH = 100
"""More than anything that we read: the fields of a pod template in `managedFields` need 20."""
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{}]', re.DOTALL)
_STRING, _OPENING, _CLOSING = ord('"'), b"[{", b"]}"


def shallow(body: bytes) -> bytes:
    """The same JSON with `null` in place of every array and object that is nested deeper than `MAX_DEPTH`."""
    parts: list[bytes] = []
    depth = copied = cut_at = 0
    for token in _TOKEN.finditer(body):
        first = body[token.start()]
        if first == _STRING:
            continue
        if first in _OPENING:
            depth += 1
            if depth == MAX_DEPTH + 1:
                cut_at = token.start()
            continue
        depth -= 1
        if depth == MAX_DEPTH:
            parts += (body[copied:cut_at], b"null")
            copied = token.end()
    return b"".join([*parts, body[copied:]])
