"""Pull errors by what the kubelet says: real messages of containerd 1.6 under a kubelet 1.36.3, but where marked."""

import pytest

from inplace.engine.pods.pull_errors import classify_pull_error

REF = '"127.0.0.1:39555/team/app:1"'
RESOLVE = f"failed to pull and unpack image {REF}: failed to resolve reference {REF}: "
STATUS = RESOLVE + "pulling from host 127.0.0.1:39555 failed with status code [manifests 1]: "
BACK_OFF = f"Back-off pulling image {REF}: ErrImagePull: "

PERMANENT = {
    "no such tag": f"rpc error: code = NotFound desc = {RESOLVE}127.0.0.1:39555/team/app:1: not found",
    "unauthorized": RESOLVE + "failed to authorize: failed to fetch anonymous token: unexpected status: 401 Unauthorized",
    "forbidden": STATUS + "403 Forbidden",
    "no name": 'Failed to apply default image tag "App:::1": couldn\'t parse image name "App:::1": invalid reference format',
    # As Docker Hub and others say it (kubernetes issues).
    "denied": "pull access denied, repository does not exist or may require authorization: server message: "
    "insufficient_scope: authorization failed",
    "no basic auth": "unexpected status: no basic auth credentials",
}
TRANSIENT = {
    "rate limit": STATUS + "429 Too Many Requests",
    "request timeout": STATUS + "408 Request Timeout",
    "internal error": STATUS + "500 Internal Server Error",
    "bad gateway": STATUS + "502 Bad Gateway",
    "unavailable": STATUS + "503 Service Unavailable",
    "refused": RESOLVE + 'failed to do request: Head "http://127.0.0.1:1/": dial tcp 127.0.0.1:1: connect: connection refused',
    "cut": RESOLVE + 'failed to do request: Head "http://127.0.0.1:39555/v2/team/app/manifests/1": EOF',
    "no such host": RESOLVE + 'failed to do request: Head "https://nosuch.invalid/v2/app/manifests/1": '
    "dial tcp: lookup nosuch.invalid on 10.255.255.53:53: no such host",
    # From kubernetes issues.
    "i/o timeout": RESOLVE + "dial tcp: lookup registry-1.docker.io: i/o timeout",
    "reset": RESOLVE + "read tcp 10.0.0.1:3->1.2.3.4:443: read: connection reset by peer",
    "TLS": RESOLVE + "net/http: TLS handshake timeout",
    "deadline": "rpc error: code = DeadlineExceeded desc = context deadline exceeded",
    "headers": RESOLVE + "net/http: request canceled (Client.Timeout exceeded while awaiting headers)",
    "hub": "toomanyrequests: You have reached your unauthenticated pull rate limit.",
    "QPS": "pull QPS exceeded",
}


@pytest.mark.parametrize("message", PERMANENT.values(), ids=PERMANENT)
@pytest.mark.parametrize("prefix", ["", BACK_OFF])
def test_what_will_not_come_right(prefix: str, message: str) -> None:
    assert classify_pull_error(prefix + message) == "Permanent"


@pytest.mark.parametrize("message", TRANSIENT.values(), ids=TRANSIENT)
@pytest.mark.parametrize("prefix", ["", BACK_OFF])
def test_what_may_come_right(prefix: str, message: str) -> None:
    assert classify_pull_error(prefix + message) == "Transient"


def test_names_are_no_words() -> None:
    """Whoever owns an image may call it what they like."""
    ref = "timeout.example:500/eof/denied:429"
    assert classify_pull_error(f'rpc error: code = NotFound desc = failed to pull "{ref}": {ref}: not found') == "Permanent"
    assert classify_pull_error(f'Back-off pulling image "{ref}"') == "Unknown"


def test_a_proxy_in_between_may_say_both() -> None:
    assert classify_pull_error("unexpected status: 503 Service Unavailable: upstream not found") == "Transient"


def test_what_nobody_has_classified_is_said_to_be_unknown() -> None:
    assert classify_pull_error("") == classify_pull_error("failed to extract layer") == "Unknown"
