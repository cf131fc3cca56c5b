"""A fault seam: a transport that dies at its n-th write, before the API server gets it or after it has answered.

That is where a crash hurts most, so that whatever drives a run can be tested at each such moment: in this process, where `die`
raises, and as a process of its own, where `INPLACE_DIE=before:7` ends it as SIGKILL would. Renewals of a Lease, which come by
the clock, and questions that persist nothing are not counted, so the same run has the same writes.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Literal, NoReturn

import msgspec

from inplace.kube.protocols import Request, Response, Stream, Transport

VARIABLE = "INPLACE_DIE"
KILLED = 137
"""What a shell shows for a process that SIGKILL has ended."""


class Moment(msgspec.Struct, frozen=True):
    """`number` counts from 1."""

    when: Literal["before", "after"]
    number: int


def moment_of(text: str) -> Moment:
    """`before:7`. Raises ValueError with a line for a person."""
    found = re.fullmatch(r"(before|after):([1-9]\d*)", text)
    if found is None:
        raise ValueError(f"{VARIABLE}={text!r}: write it like before:7 or after:7")
    return Moment("before" if found[1] == "before" else "after", int(found[2]))


def exit_now() -> NoReturn:
    """As SIGKILL: no clean-up of any kind."""
    os._exit(KILLED)


class Dying:
    """Implements `seam.Transport`. Calls `die`, which must not return, at the moment."""

    def __init__(self, transport: Transport, moment: Moment, die: Callable[[], NoReturn] = exit_now) -> None:
        self._transport = transport
        self._moment = moment
        self._die = die
        self._mutex = threading.Lock()
        self.writes = 0

    def call(self, request: Request, timeout_seconds: float) -> Response:
        is_now = is_counted(request) and self._count() == self._moment.number
        if is_now and self._moment.when == "before":
            self._die()
        response = self._transport.call(request, timeout_seconds)
        if is_now:
            self._die()
        return response

    def stream(self, request: Request, read_timeout_seconds: float) -> AbstractContextManager[Stream]:
        return self._transport.stream(request, read_timeout_seconds)

    def _count(self) -> int:
        with self._mutex:
            self.writes += 1
            return self.writes


def is_counted(request: Request) -> bool:
    """Whether it persists something, apart from a Lease's renewal."""
    return request.persists and not ("/leases/" in request.path and _only_renews(request.body))


def _only_renews(body: bytes | None) -> bool:
    found = json.loads(body or b"{}")
    return set(found.get("metadata") or ()) <= {"resourceVersion"} and set(found.get("spec") or ()) == {"renewTime"}
