"""Bytes of the API server into structs, and its refusals into the error family. No I/O.

Objects are decoded straight into the structs of `model`: fields that those do not declare (managedFields first) are never
kept. No message built here holds a header or a body that we sent.
"""

from __future__ import annotations

import threading
from functools import cache
from typing import Any, Generic, Literal, TypeVar

import msgspec

from inplace.kube.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    ServerError,
    TooManyRequests,
    Unauthorized,
)
from inplace.kube.resources import Named
from inplace.kube.seam import Request, Response
from inplace.model.meta import Object, Wire

T = TypeVar("T", bound=Object)

MESSAGE_LENGTH = 400


class Malformed(ApiError):
    """An answer that is not what the API promises: not JSON, or a field of another type."""


class ListMeta(Wire, frozen=True):
    resource_version: str = ""
    continue_token: str = msgspec.field(name="continue", default="")


class Page(Wire, Generic[T], frozen=True):
    """One page of a list."""

    metadata: ListMeta = ListMeta()
    items: tuple[T, ...] | None = None


class StatusDetails(Wire, frozen=True):
    retry_after_seconds: int = 0


class Status(Wire, frozen=True):
    """`meta/v1 Status`: why the server refused."""

    message: str = ""
    reason: str = ""
    code: int = 0
    details: StatusDetails | None = None


class Changed(msgspec.Struct, Generic[T], frozen=True):
    """The object is there, like this."""

    object: T


class Deleted(msgspec.Struct, Generic[T], frozen=True):
    """The object is gone, or no longer matches the selector; this was its last state."""

    object: T


class Bookmark(msgspec.Struct, frozen=True):
    """Everything up to this resourceVersion has been sent."""

    resource_version: str


class Refused(msgspec.Struct, frozen=True):
    """The watch cannot go on."""

    error: ApiError


class _Event(msgspec.Struct, frozen=True):
    """The object stays raw until the type is known: bookmarks and errors are no full objects (`spec.containers: null`)."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]
    object: msgspec.Raw


_event_decoder = msgspec.json.Decoder(_Event)
_status_decoder = msgspec.json.Decoder(Status)
_bookmark_decoder = msgspec.json.Decoder(Named)


_building = threading.Lock()
"""msgspec 0.22 shows other threads what it knows of a struct while it still finds it out, and a decoder made from that
segfaults: one thread at a time makes them."""


@cache
def _decoder(wanted: type[T]) -> msgspec.json.Decoder[T]:
    with _building:
        return msgspec.json.Decoder(wanted)


@cache
def _page_decoder(wanted: type[T]) -> msgspec.json.Decoder[Page[T]]:
    with _building:
        return msgspec.json.Decoder(Page[wanted])  # type: ignore[valid-type]


def decode(body: bytes, wanted: type[T]) -> T:
    """Raises `Malformed`."""
    try:
        obj: T = _decoder(wanted).decode(body)
    except msgspec.DecodeError as error:
        raise Malformed(f"the API server sent a {wanted.__name__} that cannot be read: {error}") from None
    return obj


def decode_page(body: bytes, wanted: type[T]) -> Page[T]:
    """Raises `Malformed`: also for any other JSON, which must not pass for an empty list."""
    try:
        page = _page_decoder(wanted).decode(body)
    except msgspec.DecodeError as error:
        raise Malformed(f"the API server sent a list of {wanted.__name__} that cannot be read: {error}") from None
    if not page.metadata.resource_version:
        raise Malformed(f"the API server sent something that is no list of {wanted.__name__}")
    return page


def decode_raw(body: bytes) -> dict[str, Any]:
    """Raises `Malformed`."""
    try:
        decoded: dict[str, Any] = msgspec.json.decode(body, type=dict[str, Any])
        return decoded
    except msgspec.DecodeError as error:
        raise Malformed(f"the API server sent an object that cannot be read: {error}") from None


def decode_event(line: bytes, wanted: type[T]) -> Changed[T] | Deleted[T] | Bookmark | Refused:
    """One line of a watch. Raises `Malformed`."""
    try:
        event = _event_decoder.decode(line)
        match event.type:
            case "ADDED" | "MODIFIED":
                return Changed(_decoder(wanted).decode(event.object))
            case "DELETED":
                return Deleted(_decoder(wanted).decode(event.object))
            case "BOOKMARK":
                return Bookmark(_bookmark_decoder.decode(event.object).metadata.resource_version)
            case "ERROR":
                return Refused(_error(_status_decoder.decode(event.object), 0, fallback="the watch was ended"))
    except msgspec.DecodeError as error:
        raise Malformed(f"a watch sent a line that cannot be read: {error}") from None


def error_of(request: Request, response: Response) -> ApiError | None:
    """The refusal in `response`, or None for 2xx."""
    if 200 <= response.status < 300:
        return None
    try:
        status = _status_decoder.decode(response.body)
    except msgspec.DecodeError:
        status = Status()
    error = _error(status, response.status, fallback=f"{request.method} {request.path}: HTTP status {response.status}")
    header = response.headers.get("retry-after", "").strip()
    if header.isdigit():
        error.retry_after_seconds = float(header)
    return error


def _error(status: Status, status_code: int, fallback: str) -> ApiError:
    code = status_code or status.code
    message = _one_line(status.message) or fallback
    if code == 401 and status.message in ("", "Unauthorized"):
        message = "the API server does not accept our credentials (401 Unauthorized)"
    asked = status.details.retry_after_seconds if status.details else 0
    return _class_of(code, status.reason)(
        message, status=code, reason=status.reason, retry_after_seconds=float(asked) if asked > 0 else None
    )


def _class_of(code: int, reason: str) -> type[ApiError]:
    match code:
        case 401:
            return Unauthorized
        case 403:
            return Forbidden
        case 404:
            return NotFound
        case 409:
            return AlreadyExists if reason == "AlreadyExists" else Conflict
        case 410:
            return Gone
        case 422:
            return Invalid
        case 429:
            return TooManyRequests
        case _:
            return ServerError if code >= 500 else ApiError


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MESSAGE_LENGTH else line[: MESSAGE_LENGTH - 3] + "..."
