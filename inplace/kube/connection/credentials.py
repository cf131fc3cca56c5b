"""Whether credentials that were refused have expired, told from themselves: a token that is a JWT, or a client certificate.

For people only: the API server decides. Never shows any part of them but their end.
"""

from __future__ import annotations

import base64
import ssl
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from inplace.kube.connection.certificates import read

_END = "-----END CERTIFICATE-----"


def expiry(headers: Mapping[str, str], certificate_file: str | None, now: datetime) -> str:
    """`the token expired at ...`; empty where nothing of them has, as far as they tell."""
    ends = (("the token", token_end(headers)), ("the client certificate", certificate_end(certificate_file)))
    return next((f"{what} expired at {at:%Y-%m-%dT%H:%M:%SZ}" for what, at in ends if at is not None and at <= now), "")


class _Claims(msgspec.Struct):
    exp: float


def token_end(headers: Mapping[str, str]) -> datetime | None:
    """Of a bearer token that is a JWT."""
    value = next((value for name, value in headers.items() if name.lower() == "authorization"), "")
    with suppress(ValueError, IndexError, OverflowError, OSError, msgspec.MsgspecError):
        claims = value.removeprefix("Bearer ").split(".")[1]
        body = base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4))
        return datetime.fromtimestamp(msgspec.json.decode(body, type=_Claims).exp, UTC)
    return None


def certificate_end(file: str | None) -> datetime | None:
    """Of the first certificate in the file, which is the client's own."""
    with suppress(OSError, ValueError):
        text = Path(file or "").read_text()
        first = text[text.index("-----BEGIN CERTIFICATE-----") : text.index(_END) + len(_END)]
        return read(ssl.PEM_cert_to_DER_cert(first)).not_after
    return None
