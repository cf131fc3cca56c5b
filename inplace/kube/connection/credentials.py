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
    """Returns, for example, `the token expired at ...`; empty if no credential is known to have expired."""
    ends = (("the token", token_end(headers)), ("the client certificate", certificate_end(certificate_file)))
    return next((f"{what} expired at {at:%Y-%m-%dT%H:%M:%SZ}" for what, at in ends if at is not None and at <= now), "")


class _Claims(msgspec.Struct):
    exp: float


def token_end(headers: Mapping[str, str]) -> datetime | None:
    """When a bearer token expires that is a JWT."""
    value = next((value for name, value in headers.items() if name.lower() == "authorization"), "")
    with suppress(ValueError, IndexError, OverflowError, OSError, msgspec.MsgspecError):
        claims = value.removeprefix("Bearer ").split(".")[1]
        body = base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4))
        return datetime.fromtimestamp(msgspec.json.decode(body, type=_Claims).exp, UTC)
    return None


def certificate_end(file: str | None) -> datetime | None:
    """When the first certificate in the file expires, which is the client's own."""
    with suppress(OSError, ValueError):
        text = Path(file or "").read_text()
        first = text[text.index("-----BEGIN CERTIFICATE-----") : text.index(_END) + len(_END)]
        return read(ssl.PEM_cert_to_DER_cert(first)).not_after
    return None
