"""The cluster over HTTP on loopback, for kubectl and for the unmodified product.

One thread per connection; every request takes its turn on the cluster, so the model itself stays single-threaded. A watch
only takes notes during its turn and writes them to its client outside of it, so a slow client holds up nobody.
"""

from __future__ import annotations

import queue
import select
import socket
import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from inplace.sim.api.server import ApiRequest, ApiResponse, WatchAnswer
from inplace.sim.api.users import user_of
from inplace.sim.api.watching import Watch
from inplace.sim.clock import RealTimePacer
from inplace.sim.cluster import Cluster
from inplace.sim.objects.errors import StatusError
from inplace.sim.objects.store import encode

LOOK_SECONDS = 1.0
"""How often a silent watch looks whether its client is still there."""


class HttpServer:
    """Start and stop once. `port` 0 takes a free one."""

    def __init__(self, cluster: Cluster, pacer: RealTimePacer, port: int = 0) -> None:
        self.cluster = cluster
        self.pacer = pacer
        self._server = _Listener(("127.0.0.1", port), _Handler)
        self._server.owner = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="sim-http", daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends every connection."""
        self._server.shutdown()
        self._server.close_all()
        self._server.server_close()
        self._thread.join(5.0)


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = True
    request_queue_size = 128
    owner: HttpServer

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self._mutex = threading.Lock()
        self._open: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._mutex:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._mutex:
            self._open.discard(request)
        super().shutdown_request(request)

    def close_all(self) -> None:
        with self._mutex:
            for each in self._open:
                try:
                    each.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


def _handled(owner: HttpServer, call: ApiRequest) -> ApiResponse | WatchAnswer:
    try:
        return owner.cluster.server.handle(call)
    except Exception as bug:
        traceback.print_exc()
        return ApiResponse(500, encode(StatusError(500, "InternalError", f"the embedded cluster failed: {bug!r}").status()))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 64 * 1024
    server: _Listener

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Silent."""

    def _answer(self) -> None:
        owner = self.server.owner
        call = self._call()
        lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        watch: Watch | None = None
        with owner.pacer.turn():
            answer = _handled(owner, call)
            if isinstance(answer, WatchAnswer):
                watch = answer.start(lines.put)
        if isinstance(answer, ApiResponse):
            self._send(answer)
            return
        assert watch is not None
        try:
            self._stream(lines)
        finally:
            with owner.pacer.turn():
                watch.close()

    def _call(self) -> ApiRequest:
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        return ApiRequest(
            method=self.command,
            path=parts.path,
            query=dict(parse_qsl(parts.query, keep_blank_values=True)),
            body=self.rfile.read(length) if length else self._chunks(),
            content_type=self.headers.get("Content-Type", "application/json"),
            accept=self.headers.get("Accept", ""),
            agent=self.headers.get("User-Agent", ""),
            user=user_of(self.headers.items()),
        )

    def _chunks(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return b""
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _send(self, answer: ApiResponse) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def _stream(self, lines: queue.SimpleQueue[bytes | None]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()
        while True:
            try:
                line = lines.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                if self._is_gone():
                    self.close_connection = True
                    return
                continue
            if line is None:
                self.wfile.write(b"0\r\n\r\n")
                return
            self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            if lines.empty():
                self.wfile.flush()

    def _is_gone(self) -> bool:
        """A client that waits for a watch sends nothing: something to read is the end of the connection."""
        readable, _, _ = select.select([self.connection], [], [], 0)
        return bool(readable)
