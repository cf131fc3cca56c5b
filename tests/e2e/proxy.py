"""Stands between a command and the API server, sees each request, and may kill the command at an exact one.

`inplace("upgrade", ..., "--server", proxy.url)`. The command's own token passes through, on loopback only.
"""

import http.client
import http.server
import socket
import ssl
import threading
import urllib.parse
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal

from tests.cluster import Cluster

DROPPED = {"connection", "content-length", "host", "transfer-encoding", "accept-encoding"}
WRITES = ("POST", "PATCH", "PUT", "DELETE")
Moment = Literal["before", "after"]


@dataclass(frozen=True)
class Request:
    method: str
    path: str  # without the query
    body: str
    is_dry: bool = False

    @property
    def is_write(self) -> bool:
        """A SelfSubjectAccessReview is a question, though it is posted; so is a dry run."""
        return self.method in WRITES and not self.is_dry and not self.path.endswith("reviews")


@dataclass
class Proxy:
    """Use as a context manager. `meets` is called with every write before it is passed on, and again before its answer is."""

    cluster: Cluster
    meets: Callable[[Request, Moment], None] = lambda request, moment: None
    seen: list[Request] = field(default_factory=list)
    done: list[Request] = field(default_factory=list)
    """Writes that the API server has accepted."""
    is_away: bool = False
    """Nobody answers, and open watches have ended: see `go_away`."""
    _upstream: set[http.client.HTTPSConnection] = field(default_factory=set)

    def __enter__(self) -> "Proxy":
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="proxy", daemon=True)
        self._thread.start()
        return self

    def go_away(self) -> None:
        """As an API server does that is gone, until `is_away` is False again: watches break, and requests get no answer."""
        self.is_away = True
        for connection in list(self._upstream):
            if connection.sock is not None:
                with suppress(OSError):
                    connection.sock.shutdown(socket.SHUT_RDWR)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def writes(self) -> list[Request]:
        return [r for r in self.seen if r.is_write]


def _kept(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(key, value) for key, value in headers if key.lower() not in DROPPED]


def _handler(proxy: Proxy) -> type[http.server.BaseHTTPRequestHandler]:
    upstream = urllib.parse.urlsplit(proxy.cluster.server).netloc
    context = ssl.create_default_context(cafile=proxy.cluster.ca)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if proxy.is_away:
                self.close_connection = True
                return
            path, _, query = self.path.partition("?")
            request = Request(self.command, path, body.decode(), "dryRun=All" in query)
            proxy.seen.append(request)
            connection = http.client.HTTPSConnection(upstream, timeout=120, context=context)
            proxy._upstream.add(connection)
            try:
                if request.is_write:
                    proxy.meets(request, "before")
                connection.request(self.command, self.path, body, dict(_kept(self.headers.items())))
                with connection.getresponse() as response:  # it may hold the socket longer than its connection does
                    if request.is_write:
                        if response.status < 300:
                            proxy.done.append(request)
                        proxy.meets(request, "after")
                    self.relay(response)
            except (OSError, http.client.HTTPException):
                self.close_connection = True  # either side has gone, as the killed command does
            finally:
                proxy._upstream.discard(connection)
                connection.close()

        def relay(self, response: http.client.HTTPResponse) -> None:
            self.send_response(response.status)
            for key, value in _kept(response.getheaders()):
                self.send_header(key, value)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            while block := response.read1(65536):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(block), block))
            self.wfile.write(b"0\r\n\r\n")

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = pass_on  # noqa: N815 as http.server wants them

        def log_message(self, *_: object) -> None:
            pass

    return Handler
