"""Who gives a command: the name by which the API server knows the caller, and the user and host of this machine.

The first is proven, also with `--as` and a ServiceAccount's token; the second is what this machine says of itself. Both are for
people and decide nothing. Also names the holders of locks.
"""

from __future__ import annotations

import getpass
import os
import socket
import uuid
from contextlib import suppress

import msgspec

from inplace.kube.api import ApiClient
from inplace.kube.errors import ApiError, ConnectionFailed, TooManyRequests, Unauthorized
from inplace.kube.protocols import Request
from inplace.model.run import format_signature

REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
"""Stable since Kubernetes 1.28; everybody who is authenticated may create one."""


class Caller(msgspec.Struct, frozen=True):
    """`by`: the API server's name for the caller, or, if it gives none, the same as `client`: USER@HOST."""

    by: str = ""
    client: str = ""

    @property
    def text(self) -> str:
        return format_signature(self.by, self.client)


class _User(msgspec.Struct):
    username: str = ""


class _Status(msgspec.Struct, rename="camel"):
    user_info: _User = msgspec.field(default_factory=_User)


class _Review(msgspec.Struct):
    status: _Status = msgspec.field(default_factory=_Status)


# Made here, on one thread: see `inplace.kube.codec`.
_REVIEW = msgspec.json.Decoder(_Review)


def identify_caller(api: ApiClient) -> Caller:
    """Persists nothing. Raises `ApiError` only where the next request would fail in the same way: no connection, no
    credentials."""
    client = client_name()
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    try:
        answer = api.raw(Request(method="POST", path=REVIEWS, body=msgspec.json.encode(body)))
        username = _REVIEW.decode(answer.body).status.user_info.username
    except (ConnectionFailed, Unauthorized, TooManyRequests):
        raise
    except (ApiError, ValueError):
        username = ""  # refused, or not served: then only this machine's own account is known
    return Caller(username or client, client)


def client_name() -> str:
    user = "unknown"
    with suppress(OSError, KeyError):
        user = getpass.getuser()
    return f"{user}@{socket.gethostname()}"


def new_identity() -> str:
    """A name for the holder of a lock that no other process and no other call has: `HOST-PID-RANDOM`."""
    return f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
