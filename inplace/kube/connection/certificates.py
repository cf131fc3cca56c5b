"""What a certificate says of itself: whose it is, who signed it, until when it holds. For people only: nothing is
trusted by it.

The standard library tells that only of certificates that it has verified, and here the question is why one was not. So this
reads the few fields that it needs from the DER; whatever is not as it should be is a ValueError.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

import msgspec

FETCH_SECONDS = 3.0
MOST_NAMES = 6

_SEQUENCE, _OCTETS, _OBJECT_ID, _UTC_TIME = 0x30, 0x04, 0x06, 0x17
_VERSION, _EXTENSIONS, _DNS_NAME, _ADDRESS = 0xA0, 0xA3, 0x82, 0x87
_COMMON_NAME, _ORGANIZATION, _ALTERNATIVE_NAMES = b"\x55\x04\x03", b"\x55\x04\x0a", b"\x55\x1d\x11"


class Certificate(msgspec.Struct, frozen=True):
    """`names`: the hosts and addresses that it is for."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime

    def __str__(self) -> str:
        """`it is for a, b; issued by kubernetes-ca; valid from ... to ...`"""
        shown = [*self.names[:MOST_NAMES], *(["..."] if len(self.names) > MOST_NAMES else [])]
        names = ", ".join(shown) or self.subject
        span = f"valid from {_text_of(self.not_before)} to {_text_of(self.not_after)}"
        return f"it is for {names}; issued by {self.issuer or 'nobody who is named'}; {span}"


def served(host: str, port: int, server_name: str) -> Certificate | None:
    """The certificate that a server shows to any client. Nothing is sent to it: no credentials, no request. None: there was no
    certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # it is only looked at
    with (
        suppress(OSError, ValueError),
        socket.create_connection((host, port), FETCH_SECONDS) as raw,
        context.wrap_socket(raw, server_hostname=server_name or None) as tls,
    ):
        return read(tls.getpeercert(binary_form=True) or b"")
    return None


def read(der: bytes) -> Certificate:
    """Raises ValueError."""
    try:
        whole = _only(_items(der))
        fields = list(_items(_only(_items(whole))))
        if fields and fields[0][0] == _VERSION:
            del fields[0]
        _serial, _algorithm, issuer, validity, subject, *others = fields
        begin, end = (_time(tag, value) for tag, value in _items(validity[1]))
        names = tuple(_alternative_names(others))
        return Certificate(_name(subject[1]), _name(issuer[1]), names, begin, end)
    except (IndexError, ValueError, UnicodeError) as error:
        raise ValueError(f"no certificate that can be read: {error}") from None


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and value of each element. Raises IndexError or ValueError."""
    at = 0
    while at < len(data):
        tag, length, at = data[at], data[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7F
            length, at = int.from_bytes(data[at : at + size], "big"), at + size
        if at + length > len(data):
            raise ValueError("it ends too early")
        yield tag, data[at : at + length]
        at += length


def _only(items: Iterator[tuple[int, bytes]]) -> bytes:
    """The first, which is a sequence."""
    tag, value = next(items, (0, b""))
    if tag != _SEQUENCE:
        raise ValueError("it is no sequence")
    return value


def _time(tag: int, value: bytes) -> datetime:
    """Two digits of a year are 1950 to 2049 (RFC 5280)."""
    text = value.decode("ascii")
    if tag == _UTC_TIME:
        text = ("19" if text[:2] >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _name(value: bytes) -> str:
    """The common name, or else the organization."""
    found: dict[bytes, str] = {}
    for _, part in _items(value):
        for _, pair in _items(part):
            (id_tag, object_id), (_, text) = _items(pair)
            if id_tag == _OBJECT_ID:
                found.setdefault(object_id, text.decode("utf-8", "replace"))
    return found.get(_COMMON_NAME) or found.get(_ORGANIZATION) or ""


def _alternative_names(fields: list[tuple[int, bytes]]) -> Iterator[str]:
    extensions = next((value for tag, value in fields if tag == _EXTENSIONS), b"")
    for _, extension in _items(_only(_items(extensions)) if extensions else b""):
        (_, object_id), *_, (tag, value) = _items(extension)
        if object_id != _ALTERNATIVE_NAMES or tag != _OCTETS:
            continue
        for kind, name in _items(_only(_items(value))):
            if kind == _DNS_NAME:
                yield name.decode("ascii")
            elif kind == _ADDRESS:
                yield str(ipaddress.ip_address(name))


def _text_of(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
