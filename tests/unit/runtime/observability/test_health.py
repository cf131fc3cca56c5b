"""/livez, /readyz and /metrics, without and with a socket."""

from __future__ import annotations

import http.client
import socket

import pytest

from inplace.runtime.observability.health import Health, HealthServer, listen_address


def health(alive: str | None = None, ready: str | None = None) -> Health:
    return Health({"threads": lambda: alive}, {"caches": lambda: ready, "other": lambda: None}, lambda: (b"m 1\n", "text/x"))


def test_all_is_well() -> None:
    for path in ("/livez", "/readyz", "/healthz", "/readyz?timeout=1s"):
        page = health().answer(path)
        assert (page.code, page.body) == (200, b"ok")
    assert health().answer("/readyz?verbose").body == b"[+]caches ok\n[+]other ok\n"


def test_what_fails_is_named_and_one_is_not_the_other() -> None:
    waiting = health(ready="pods were not listed yet")
    assert waiting.answer("/livez").code == 200
    page = waiting.answer("/readyz")
    assert page.code == 503
    assert page.body == b"[-]caches failed: pods were not listed yet\n[+]other ok\n"
    assert health(alive="a thread hangs").answer("/livez").code == 503


def test_metrics_and_anything_else() -> None:
    page = health().answer("/metrics")
    assert (page.code, page.body, page.content_type) == (200, b"m 1\n", "text/x")
    assert health().answer("/etc/passwd").code == 404


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (":8080", ("", 8080)),
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        ("[::1]:9", ("::1", 9)),
        ("localhost:1", ("localhost", 1)),
    ],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert listen_address(text) == address


@pytest.mark.parametrize("text", ["8080", "", ":", ":x", ":70000", "a b:1", "http://x:1"])
def test_no_addresses(text: str) -> None:
    with pytest.raises(ValueError, match="is no address to listen on"):
        listen_address(text)


def test_over_http_a_silent_client_holds_up_nobody() -> None:
    server = HealthServer(health(), "127.0.0.1:0")
    server.start()
    try:
        with socket.create_connection(("127.0.0.1", server.port)):
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
            for method, path, code, body in (
                ("GET", "/livez", 200, b"ok"),
                ("HEAD", "/livez", 200, b""),
                ("GET", "/metrics", 200, b"m 1\n"),
                ("GET", "/nothing", 404, b"there are /livez, /readyz and /metrics\n"),
                ("POST", "/livez", 501, None),
            ):
                connection.request(method, path)
                answer = connection.getresponse()
                found = answer.read()
                assert answer.status == code
                assert body is None or found == body
            connection.close()
    finally:
        server.stop()
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", server.port), timeout=5)


def test_a_port_that_is_taken_is_an_error_at_once() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError):
            HealthServer(health(), f"127.0.0.1:{taken.getsockname()[1]}")
