"""Bytes of the API server into structs, and its refusals into the error family. No I/O.

Objects are decoded straight into the structs of `model`: fields that those do not declare (managedFields first) are never
kept. Whoever may write an object writes what is decoded here, so whatever it holds costs that object alone: it comes out as
`Unreadable`, beside the others of its list. No message built here holds a header or a body that we sent.
"""

from __future__ import annotations

import threading
from functools import cache
from typing import Any, Generic, Literal, TypeVar

import msgspec

from inplace.kube.depth import shallow
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
    denied,
)
from inplace.kube.protocols import Request, Response
from inplace.kube.resources import PartialObjectMetadata
from inplace.model.objects.meta import CANNOT_BE_READ, ApiStruct, HasMetadata, ObjectMeta

T = TypeVar("T", bound=HasMetadata)
D = TypeVar("D")

MESSAGE_LENGTH = 400
LONGEST_PLAIN = 200


class MalformedResponse(ApiError):
    """An answer that is not what the API promises: not JSON, or a field of another type."""


class ListMeta(ApiStruct, frozen=True):
    resource_version: str = ""
    continue_token: str = msgspec.field(name="continue", default="")


class Page(ApiStruct, Generic[T], frozen=True):
    """One page of a list."""

    metadata: ListMeta = ListMeta()
    items: tuple[T, ...] | None = None


class Unreadable(msgspec.Struct, frozen=True):
    """An object that exists and cannot be read; its metadata as far as possible. `why` is one line for a person."""

    kind: str
    metadata: ObjectMeta
    why: str

    def __str__(self) -> str:
        return f"{self.kind} {self.metadata.name} in namespace {self.metadata.namespace} cannot be read: {self.why}"


class Listed(msgspec.Struct, Generic[T], frozen=True):
    """One page of a list, object by object."""

    metadata: ListMeta
    items: tuple[T, ...]
    unreadable: tuple[Unreadable, ...] = ()


class StatusDetails(ApiStruct, frozen=True):
    retry_after_seconds: int = 0


class Status(ApiStruct, frozen=True):
    """`meta/v1 Status`: why the server refused."""

    message: str = ""
    reason: str = ""
    code: int = 0
    details: StatusDetails | None = None


class Modified(msgspec.Struct, Generic[T], frozen=True):
    """The object exists in this state."""

    object: T


class Obscured(msgspec.Struct, frozen=True):
    """The object exists, and its state cannot be read."""

    object: Unreadable


class Deleted(msgspec.Struct, Generic[T], frozen=True):
    """The object is gone, or no longer matches the selector; this was its last state."""

    object: T | Unreadable


class Bookmark(msgspec.Struct, frozen=True):
    """Everything up to this resourceVersion has been sent."""

    resource_version: str


class WatchError(msgspec.Struct, frozen=True):
    """The watch cannot go on."""

    error: ApiError


class _Event(msgspec.Struct, frozen=True):
    """The object stays raw until the type is known: bookmarks and errors are no full objects (`spec.containers: null`)."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]
    object: msgspec.Raw


class _Loose(ApiStruct, frozen=True):
    """The last resort: metadata of which any field may be of any type."""

    metadata: dict[str, msgspec.Raw]


_event_decoder = msgspec.json.Decoder(_Event)
_status_decoder = msgspec.json.Decoder(Status)
_named_decoder = msgspec.json.Decoder(PartialObjectMetadata)
_loose_decoder = msgspec.json.Decoder(_Loose)
_string_decoder = msgspec.json.Decoder(str)
_object_decoder = msgspec.json.Decoder(dict[str, Any])


class _RawPage(ApiStruct, frozen=True):
    metadata: ListMeta = ListMeta()
    items: tuple[msgspec.Raw, ...] | None = None


_raw_page_decoder = msgspec.json.Decoder(_RawPage)

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
    """Raises `MalformedResponse`."""
    try:
        obj: T = _read(_decoder(wanted), body)
    except CANNOT_BE_READ as error:
        raise MalformedResponse(f"the API server sent a {wanted.__name__} that cannot be read: {_why(error)}") from None
    return obj


def decode_page(body: bytes, wanted: type[T]) -> Listed[T]:
    """All at once; only where that does not go, one by one. Raises `MalformedResponse` where it is no list at all: any other
    JSON must not pass for an empty one."""
    try:
        page = _read(_page_decoder(wanted), body)
        listed = Listed(page.metadata, page.items or ())
    except CANNOT_BE_READ:
        listed = _decode_one_by_one(body, wanted)
    if not listed.metadata.resource_version:
        raise MalformedResponse(f"the API server sent something that is no list of {wanted.__name__}")
    return listed


def _decode_one_by_one(body: bytes, wanted: type[T]) -> Listed[T]:
    try:
        page = _read(_raw_page_decoder, body)
    except CANNOT_BE_READ as error:
        raise MalformedResponse(f"the API server sent a list of {wanted.__name__} that cannot be read: {_why(error)}") from None
    items: list[T] = []
    unreadable: list[Unreadable] = []
    for raw in page.items or ():
        match _decode_item(raw, wanted):
            case Unreadable() as lost:
                unreadable.append(lost)
            case item:
                items.append(item)
    return Listed(page.metadata, tuple(items), tuple(unreadable))


def _decode_item(raw: msgspec.Raw, wanted: type[T]) -> T | Unreadable:
    try:
        item: T = _read(_decoder(wanted), raw)
    except CANNOT_BE_READ as error:
        return Unreadable(wanted.__name__, _metadata(raw), _why(error))
    return item


def _metadata(raw: msgspec.Raw) -> ObjectMeta:
    """The metadata of an unreadable object: all of it, or those of its names that are text."""
    try:
        return _read(_named_decoder, raw).metadata
    except CANNOT_BE_READ:
        pass
    try:
        loose = _read(_loose_decoder, raw).metadata
    except CANNOT_BE_READ:
        loose = {}
    name, namespace, uid, version = (_text(loose.get(key)) for key in ("name", "namespace", "uid", "resourceVersion"))
    return ObjectMeta(name=name, namespace=namespace, uid=uid, resource_version=version)


def _text(raw: msgspec.Raw | None) -> str:
    try:
        return _string_decoder.decode(raw) if raw is not None else ""
    except CANNOT_BE_READ:
        return ""


def _read(decoder: msgspec.json.Decoder[D], raw: bytes | msgspec.Raw) -> D:
    """What is nested too deep to be followed is left out: nothing that we read is."""
    try:
        return decoder.decode(raw)
    except RecursionError:
        return decoder.decode(shallow(bytes(raw)))


def decode_raw(body: bytes) -> dict[str, Any]:
    """Raises `MalformedResponse`."""
    try:
        return _read(_object_decoder, body)
    except CANNOT_BE_READ as error:
        raise MalformedResponse(f"the API server sent an object that cannot be read: {_why(error)}") from None


def decode_event(line: bytes, wanted: type[T]) -> Modified[T] | Obscured | Deleted[T] | Bookmark | WatchError:
    """One line of a watch. Raises `MalformedResponse` where it is none."""
    try:
        event = _read(_event_decoder, line)
        match event.type:
            case "ADDED" | "MODIFIED":
                item = _decode_item(event.object, wanted)
                return Obscured(item) if isinstance(item, Unreadable) else Modified(item)
            case "DELETED":
                return Deleted(_decode_item(event.object, wanted))
            case "BOOKMARK":
                return Bookmark(_read(_named_decoder, event.object).metadata.resource_version)
            case "ERROR":
                return WatchError(_error(_read(_status_decoder, event.object), 0, fallback="the watch was ended"))
    except CANNOT_BE_READ as error:
        raise MalformedResponse(f"a watch sent a line that cannot be read: {_why(error)}") from None


def error_from_response(request: Request, response: Response) -> ApiError | None:
    """The refusal in `response`, or None for 2xx."""
    if 200 <= response.status < 300:
        return None
    try:
        status = _read(_status_decoder, response.body)
    except CANNOT_BE_READ:
        status = Status()
    fallback = f"{request.method} {request.path}: HTTP status {response.status}{_plain(response.body)}"
    error = _error(status, response.status, fallback, response.hint)
    header = response.headers.get("retry-after", "").strip()
    if header.isdigit():
        error.retry_after_seconds = float(header)
    return error


def _plain(body: bytes) -> str:
    """What a proxy or the like answers, if it is a word or two; not a page."""
    text = body[: MESSAGE_LENGTH + 1].decode(errors="replace").strip()
    return f" ({_one_line(text)})" if 0 < len(text) <= LONGEST_PLAIN and text[0] not in "{[<" else ""


def _error(status: Status, status_code: int, fallback: str, hint: str = "") -> ApiError:
    code = status_code or status.code
    message = _one_line(status.message) or fallback
    if code == 401 and status.message in ("", "Unauthorized"):
        message = f"the API server does not accept our credentials (401 Unauthorized){f': {hint}' if hint else ''}"
    asked = status.details.retry_after_seconds if status.details else 0
    of_rights = denied(message) if code == 403 else None
    if of_rights is not None:
        message = of_rights[0]
    error = _class_of(code, status.reason)(
        message, status=code, reason=status.reason, retry_after_seconds=float(asked) if asked > 0 else None
    )
    if isinstance(error, Forbidden) and of_rights is not None:
        error.shown_by = of_rights[1]
    return error


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


def _why(error: Exception) -> str:
    return _one_line(str(error))


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MESSAGE_LENGTH else line[: MESSAGE_LENGTH - 3] + "..."
