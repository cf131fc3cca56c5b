"""What a certificate says, also one that nobody trusts; and what is no certificate."""

from __future__ import annotations

import base64
import json
import ssl
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from inplace.kube.connection.certificates import read
from inplace.kube.connection.credentials import expiry
from tests.unit.kube.connection.certificates import CA, EXPIRED, KEY, SERVED

NOW = datetime(2026, 11, 28, 9, 0, tzinfo=UTC)
DER = ssl.PEM_cert_to_DER_cert(SERVED)


def test_what_it_says() -> None:
    found = read(DER)
    assert (found.subject, found.issuer) == ("kube-apiserver", "kubernetes-ca")
    assert found.names == ("kubernetes", "kubernetes.default", "127.0.0.1", "::1")
    assert found.not_before.year == 2026
    assert found.not_after.year == 2126


def test_a_certificate_without_hosts_that_has_expired() -> None:
    expired, authority = read(ssl.PEM_cert_to_DER_cert(EXPIRED)), read(ssl.PEM_cert_to_DER_cert(CA))
    assert expired.not_after == datetime(2021, 1, 1, tzinfo=UTC)
    assert authority.names == ()
    assert str(authority).startswith("it is for kubernetes-ca; issued by kubernetes-ca; valid from 2026-")


def test_a_torn_one_is_no_certificate() -> None:
    for at in range(len(DER)):
        with pytest.raises(ValueError, match="no certificate that can be read"):
            read(DER[:at])


def test_a_damaged_one_never_does_more_than_be_unreadable() -> None:
    for at, right in enumerate(DER):
        for wrong in (0x00, 0x80, 0xFF, right ^ 1):
            with suppress(ValueError):
                assert str(read(DER[:at] + bytes([wrong]) + DER[at + 1 :]))


def token(**claims: object) -> dict[str, str]:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return {"authorization": f"Bearer h.{body}.s"}


def test_a_token_that_has_expired_says_when() -> None:
    end = int(datetime(2026, 11, 28, 2, 39, 30, tzinfo=UTC).timestamp())
    assert expiry(token(exp=end), None, NOW) == "the token expired at 2026-11-28T02:39:30Z"
    assert expiry(token(exp=end + 86400), None, NOW) == ""


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer opaque"}, token(), token(exp="soon"), token(exp=1e99)])
def test_of_others_nothing_is_known(headers: dict[str, str]) -> None:
    assert expiry(headers, None, NOW) == ""


def test_a_client_certificate_that_has_expired_says_when(tmp_path: Path) -> None:
    file = tmp_path / "client.crt"
    for text, says in (
        (f"some words\n{EXPIRED}{CA}", "the client certificate expired at 2021-01-01T00:00:00Z"),
        (SERVED + EXPIRED, ""),
        (KEY, ""),
        ("-----END CERTIFICATE-----", ""),
    ):
        file.write_text(text)
        assert expiry({}, str(file), NOW) == says
    assert expiry({}, str(tmp_path / "gone"), NOW) == ""
