"""Who gives a command: what the API server calls the caller, and beside it the user and the host of this machine.

The first is proven, with `--as` and a ServiceAccount's token, too; the second is what this machine says of itself. It is for
people, and decides nothing.
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
    """`by`: the API server's word, or, where it gives none, the same as `client`: USER@HOST."""

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
    """Persists nothing. Raises `ApiError` only where the next request would meet the same: no connection, no credentials."""
    client = client_name()
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    try:
        answer = api.raw(Request(method="POST", path=REVIEWS, body=msgspec.json.encode(body)))
        found = _REVIEW.decode(answer.body).status.user_info.username
    except (ConnectionFailed, Unauthorized, TooManyRequests):
        raise
    except (ApiError, ValueError):
        found = ""  # refused, or not served: then nobody but this machine can say
    return Caller(found or client, client)


def client_name() -> str:
    user = "unknown"
    with suppress(OSError, KeyError):
        user = getpass.getuser()
    return f"{user}@{socket.gethostname()}"


def new_identity() -> str:
    """A name for the holder of a lock that no other process and no other call has: `HOST-PID-RANDOM`."""
    return f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
