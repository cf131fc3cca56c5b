"""HTTP to the API server, over the connection pool and the credentials of the `kubernetes` package.

Only its configuration and its urllib3 pool are used, with raw bytes both ways. Always holds: every call and every read has a
timeout; nothing is repeated behind our back (urllib3's own retries and redirects are off), except that what met a 401, and so
did nothing, is sent once more with credentials loaded afresh; no error carries a header, a body or a token.
"""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from inplace.kube.connection.certificates import served
from inplace.kube.connection.credentials import expiry
from inplace.kube.errors import ConfigError, ConnectionFailed
from inplace.kube.protocols import Request, Response
from inplace.kube.retry import BAD_CERTIFICATE

if TYPE_CHECKING:
    from kubernetes.client.configuration import Configuration
    from urllib3 import BaseHTTPResponse

CONNECT_SECONDS = 10.0
CHUNK_BYTES = 1 << 16
CREDENTIALS_SECONDS = 30.0
"""How long an Authorization header is used before the configuration is asked again (it may run a plugin or read a file)."""
RELOAD_SECONDS = 10.0
"""A 401 reloads the credentials at most this often."""


class KubeTransport:
    """Implements `protocols.Transport`. Thread-safe. `load` gives the configuration and is called again after a 401."""

    def __init__(
        self, load: Callable[[], Configuration], *, headers: Sequence[tuple[str, str]] = (), connection_pool_maxsize: int = 32
    ) -> None:
        self._load = load
        self._headers = tuple(headers)
        self._maxsize = connection_pool_maxsize
        self._lock = threading.Lock()
        self._generation = 0
        self._loaded_at = time.monotonic()
        self._credentials: dict[str, str] = {}
        self._credentials_until = 0.0
        self._use(load())

    @property
    def host(self) -> str:
        """The URL of the API server."""
        return self._host

    def call(self, request: Request, timeout_seconds: float) -> Response:
        ends_at = time.monotonic() + timeout_seconds
        with self._errors(timeout_seconds):
            answer = self._send(request, min(CONNECT_SECONDS, timeout_seconds), timeout_seconds)
            try:
                body = b"".join(_until(ends_at, _chunks(answer)))
            except BaseException:
                answer.close()
                raise
            headers = {name.lower(): value for name, value in answer.headers.items()}
            hint = self._why_refused() if answer.status == 401 else ""
            return Response(status=answer.status, body=body, headers=headers, hint=hint)

    @contextmanager
    def stream(self, request: Request, read_timeout_seconds: float) -> Iterator[KubeStream]:
        with self._errors(read_timeout_seconds):
            answer = self._send(request, CONNECT_SECONDS, read_timeout_seconds)
        try:
            yield KubeStream(answer, lambda: self._errors(read_timeout_seconds))
        finally:
            answer.close()

    def close(self) -> None:
        """Closes idle connections."""
        self._pool.clear()

    def _send(self, request: Request, connect_seconds: float, read_seconds: float) -> BaseHTTPResponse:
        generation, answer = self._send_once(request, connect_seconds, read_seconds)
        if answer.status == 401 and self._reload(generation):
            answer.close()
            _, answer = self._send_once(request, connect_seconds, read_seconds)
        return answer

    def _send_once(self, request: Request, connect_seconds: float, read_seconds: float) -> tuple[int, BaseHTTPResponse]:
        from urllib3 import HTTPHeaderDict, Timeout

        with self._lock:
            generation, pool, url = self._generation, self._pool, self._host + request.path
            headers = HTTPHeaderDict(self._authorization())
        for name, value in (*self._headers, ("Accept", "application/json")):
            headers.add(name, value)
        if request.body is not None:
            headers["Content-Type"] = request.content_type
        answer = pool.urlopen(
            request.method,
            f"{url}?{urlencode(request.query)}" if request.query else url,
            body=request.body,
            headers=headers,
            timeout=Timeout(connect=connect_seconds, read=read_seconds),
            retries=False,
            redirect=False,
            preload_content=False,
        )
        return generation, answer

    def _authorization(self) -> dict[str, str]:
        """Under the lock, so that one thread runs the credential plugin and the others wait for it. Where that fails, what we
        have is used until the server refuses it: plugins are asked some minutes before the end."""
        now = time.monotonic()
        if now >= self._credentials_until:
            try:
                with credential_log() as complaints:
                    settings: Iterable[Any] = self._configuration.auth_settings().values()
            except Exception as error:  # a plugin's or an identity provider's, whose text may quote a secret
                complaints.append(error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__)
            if not complaints:
                self._credentials = {s["key"]: s["value"].strip() for s in settings if s["value"]}
            elif not self._credentials:
                raise ConnectionFailed(f"the credentials cannot be renewed: {complaints[-1]}")
            self._credentials_until = now + CREDENTIALS_SECONDS
        return self._credentials

    def _why_refused(self) -> str:
        with self._lock:
            credentials, file = self._credentials, self._configuration.cert_file
        return expiry(credentials, file, datetime.now(UTC)) or "log in again, or name others by --context, --user or --token"

    def _reload(self, generation: int) -> bool:
        """False where that has just been tried."""
        with self._lock:
            if self._generation == generation:
                if time.monotonic() - self._loaded_at < RELOAD_SECONDS:
                    return False
                self._loaded_at = time.monotonic()
                old = self._pool
                try:
                    self._use(self._load())
                except ConfigError as error:
                    raise ConnectionFailed(f"the credentials cannot be renewed: {error}") from None
                old.clear()
            return True

    def _use(self, configuration: Configuration) -> None:
        from kubernetes.client.rest import RESTClientObject
        from urllib3 import disable_warnings
        from urllib3.exceptions import InsecureRequestWarning

        configuration.connection_pool_maxsize = self._maxsize
        configuration.socket_options = _keepalive()
        if not configuration.verify_ssl:
            disable_warnings(InsecureRequestWarning)  # the user asked for it
        self._configuration = configuration
        self._host = str(configuration.host).rstrip("/")  # kept: renewing a token puts back what flags have replaced
        self._pool: Any = RESTClientObject(configuration).pool_manager
        self._credentials_until = 0.0
        self._loaded_at = time.monotonic()
        self._generation += 1

    @contextmanager
    def _errors(self, seconds: float) -> Iterator[None]:
        """urllib3's errors as ours, in words of ours: theirs may quote what was sent."""
        from http.client import HTTPException

        from urllib3.exceptions import HTTPError

        try:
            yield
        except (HTTPError, HTTPException, OSError) as error:
            server_name = getattr(self._configuration, "tls_server_name", None) or ""
            raise _connection_failed(error, self.host, seconds, server_name) from None


class KubeStream:
    """Implements `protocols.Stream`."""

    def __init__(self, answer: BaseHTTPResponse, errors: Callable[[], Any]) -> None:
        self._answer = answer
        self._errors = errors
        self._is_closed = False

    @property
    def status(self) -> int:
        return self._answer.status

    def read(self) -> bytes:
        with self._errors():
            return b"".join(_chunks(self._answer))

    def __iter__(self) -> Iterator[bytes]:
        try:
            with self._errors():
                yield from lines_of(_chunks(self._answer))
        except ConnectionFailed:
            if not self._is_closed:
                raise

    def close(self) -> None:
        """Ends the wait of the reading thread, which sees the end of the stream."""
        self._is_closed = True
        with suppress(ValueError, RuntimeError, OSError):  # over already
            self._answer.shutdown()


def lines_of(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yields whole lines, without empty ones; what follows the last line end is a line too."""
    rest = b""
    for chunk in chunks:
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop()
        yield from filter(None, lines)
    if rest:
        yield rest


def _chunks(answer: BaseHTTPResponse) -> Iterator[bytes]:
    """Yields bytes as they come in: never waits for a buffer to fill."""
    while chunk := answer.read1(CHUNK_BYTES):
        yield chunk


def _until(ends_at: float, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """urllib3 times each read; a server that drips must not hold a call for ever."""
    for chunk in chunks:
        yield chunk
        if time.monotonic() > ends_at:
            raise TimeoutError


def _keepalive() -> list[tuple[int, int, int]]:
    options = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            options.append((socket.IPPROTO_TCP, getattr(socket, name), value))
    return options


def _connection_failed(error: Exception, host: str, seconds: float, server_name: str = "") -> ConnectionFailed:
    from urllib3 import exceptions as u

    causes = list(_causes(error))
    cause = causes[-1]
    for each in causes:
        if isinstance(each, ssl.SSLError) and not isinstance(each, ssl.SSLEOFError):
            return ConnectionFailed(f"{host}: {_tls_problem(each, host, server_name)}", reason=BAD_CERTIFICATE)
    match error:
        case u.SSLError():
            return ConnectionFailed(f"{host}: TLS failed: the connection broke")
        case u.NameResolutionError():
            return ConnectionFailed(f"{host}: the host name cannot be resolved")
        case u.ConnectTimeoutError() if not isinstance(error, u.NewConnectionError):
            return ConnectionFailed(f"{host}: no connection in time")
        case u.NewConnectionError():
            why = cause.strerror if isinstance(cause, OSError) and cause.strerror else "failed"
            return ConnectionFailed(f"{host}: cannot connect: {why}")
        case u.ProxyError():
            return ConnectionFailed(f"{host}: the proxy does not let us through")
        case u.ReadTimeoutError() | TimeoutError():
            return ConnectionFailed(f"{host}: no answer for {seconds:g} s")
        case _:
            return ConnectionFailed(f"{host}: the connection broke")


def _causes(error: BaseException) -> Iterator[Exception]:
    """The error and what caused it, back to the first cause."""
    following: BaseException | None = error
    while isinstance(following, Exception):
        yield following
        following = following.__cause__ or following.__context__


_TLS_WORDS = {
    "NO_CERTIFICATE_OR_CRL_FOUND": "no certificate is in what we are to trust (certificate-authority of the kubeconfig)",
    "WRONG_VERSION_NUMBER": "it does not speak TLS: is its address http:// in truth?",
    "KEY_VALUES_MISMATCH": "our client certificate and our key do not belong together",
}


def _tls_problem(error: ssl.SSLError, host: str, server_name: str) -> str:
    """Describes the problem, with what the certificate says where that is what is wrong."""
    if not isinstance(error, ssl.SSLCertVerificationError):
        reason = error.reason or ""
        return f"TLS failed: {_TLS_WORDS.get(reason, reason.replace('_', ' ').lower() or 'no reason is given')}"
    parts = urlsplit(host)
    address, port = parts.hostname or "", parts.port or 443
    shown = served(address, port, server_name or address)
    about = f" ({shown})" if shown is not None else ""
    match error.verify_code:
        case 9 | 10:
            return (
                f"its certificate {'is not valid yet' if error.verify_code == 9 else 'has expired'}{about}; is our clock right?"
            )
        case 62 | 64:
            return f"its certificate is not for {server_name or address}{about}: name the server as it does, or tls-server-name"
        case 18 | 19 | 20 | 21:
            return (
                f"its certificate is signed by an authority that we do not trust{about}: give the CA of this cluster by"
                " --certificate-authority FILE, or in the kubeconfig"
            )
        case _:
            return f"its certificate is not trusted: {error.verify_message}{about}"


@contextmanager
def credential_log() -> Iterator[list[str]]:
    """`kubernetes` does not raise when a credential plugin fails, it logs at the root logger: take it from there."""
    root, thread = logging.getLogger(), threading.get_ident()
    complaints: list[str] = []

    def take(record: logging.LogRecord) -> bool:
        if record.thread != thread:
            return True
        complaints.append(" ".join(record.getMessage().split()))
        return False

    handler = logging.NullHandler()  # else the first logging.error() installs a handler for good
    root.addHandler(handler)
    root.addFilter(take)
    try:
        yield complaints
    finally:
        root.removeFilter(take)
        root.removeHandler(handler)
