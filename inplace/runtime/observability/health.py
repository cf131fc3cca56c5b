"""What a process answers when it is asked how it is, over HTTP: /livez, /readyz and /metrics.

Alive means that its threads still turn; ready, that it could work if it led: one that stands by is ready. Both say which check
failed and why, and name each check with `?verbose`. Nothing here asks the API server, so an outage restarts nobody.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import msgspec

Check = Callable[[], str | None]
"""None: well; else why not, in one line."""

READ_SECONDS = 10.0
LIVENESS_SECONDS = 60.0
"""A leader's thread that has done nothing for so long is not alive: it does something every few seconds."""
TEXT = "text/plain; charset=utf-8"


class HealthResponse(msgspec.Struct, frozen=True):
    code: int
    body: bytes
    content_type: str = TEXT


class Health:
    """The answers, without a socket. `metrics` gives body and content type."""

    def __init__(self, live: Mapping[str, Check], ready: Mapping[str, Check], metrics: Callable[[], tuple[bytes, str]]) -> None:
        self._checks = {"/livez": live, "/healthz": live, "/readyz": ready}
        self._metrics = metrics

    def answer(self, url: str) -> HealthResponse:
        parts = urlsplit(url)
        if parts.path == "/metrics":
            return HealthResponse(200, *self._metrics())
        checks = self._checks.get(parts.path)
        if checks is None:
            return HealthResponse(404, b"there are /livez, /readyz and /metrics\n")
        found = {name: check() for name, check in checks.items()}
        is_well = not any(found.values())
        if is_well and "verbose" not in parts.query.split("&"):
            return HealthResponse(200, b"ok")
        lines = [f"[-]{name} failed: {why}" if why else f"[+]{name} ok" for name, why in found.items()]
        return HealthResponse(200 if is_well else 503, "\n".join([*lines, ""]).encode())


class HealthServer:
    """Answers on threads from `start` to `stop`. `listen`: HOST:PORT, without a host all addresses, port 0 any free one."""

    def __init__(self, health: Health, listen: str) -> None:
        host, port = listen_address(listen)
        self._server = _Server((host, port), _handler(health))
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(READ_SECONDS)


def listen_address(text: str) -> tuple[str, int]:
    """Raises ValueError with a line for a person."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535 or not all(c.isalnum() or c in "-.:[]" for c in host):
        raise ValueError(f"{text!r} is no address to listen on: write it like :8080 or 127.0.0.1:8080")
    return host.strip("[]"), int(port)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        host, port = address
        self.address_family = socket.AF_INET6 if ":" in host or (not host and _has_dual_stack()) else socket.AF_INET
        super().__init__((host, port), handler)

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is nobody's trouble."""


def _has_dual_stack() -> bool:
    return socket.has_dualstack_ipv6()


def _handler(health: Health) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = READ_SECONDS
        protocol_version = "HTTP/1.1"
        server_version = "inplace"
        sys_version = ""

        def do_GET(self) -> None:
            page = health.answer(self.path)
            self.send_response(page.code)
            self.send_header("Content-Type", page.content_type)
            self.send_header("Content-Length", str(len(page.body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(page.body)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Probes come every few seconds."""

    return Handler
