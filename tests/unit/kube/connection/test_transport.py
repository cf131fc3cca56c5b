"""Real HTTP on loopback: what a server can do to us, and what we never give away."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from inplace.kube.codec import error_from_response
from inplace.kube.connection.config import ConnectOptions, connect
from inplace.kube.connection.transport import KubeTransport, lines_of
from inplace.kube.errors import ConnectionFailed
from inplace.kube.protocols import STRATEGIC_MERGE, Request
from inplace.kube.retry import is_retryable
from tests.unit.kube.connection.certificates import CA, EXPIRED, KEY, OTHER_CA, SERVED

GET = Request(method="GET", path="/x")
TOKEN = "sekret-token"


class Handler(BaseHTTPRequestHandler):
    """Gives each request to the server's `behave`."""

    protocol_version = "HTTP/1.1"
    server: Server

    def _any(self) -> None:
        self.server.seen.append(self)
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.behave(self)

    do_GET = do_PATCH = _any  # noqa: N815

    def answer(self, status: int, body: bytes = b"{}", length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.send_header("Retry-After", "7")
        self.end_headers()
        self.wfile.write(body)

    def chunks(self, *parts: bytes) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for part in parts:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[Handler] = []
        self.behave: Callable[[Handler], object] = lambda handler: handler.answer(200)
        self.finish = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.finish.set()
    server.shutdown()
    server.server_close()
    thread.join()


def transport_of(options: ConnectOptions) -> KubeTransport:
    transport = connect(options, environ={"KUBECONFIG": "/nowhere"}).transport
    assert isinstance(transport, KubeTransport)
    return transport


@pytest.fixture
def transport(server: Server) -> Iterator[KubeTransport]:
    transport = transport_of(ConnectOptions(server=server.url, token=TOKEN, as_user="jane", as_groups=("a", "b")))
    yield transport
    transport.close()


def test_a_request_arrives_as_it_was_meant(server: Server, transport: KubeTransport) -> None:
    query = (("fieldManager", "inplace"), ("labelSelector", "a in (b,c)"))
    request = Request(method="PATCH", path="/a%2Fb", query=query, body=b'{"x":1}', content_type=STRATEGIC_MERGE)
    response = transport.call(request, 10)
    (seen,) = server.seen
    assert (response.status, response.body, response.headers["retry-after"]) == (200, b"{}", "7")
    assert seen.path == "/a%2Fb?fieldManager=inplace&labelSelector=a+in+%28b%2Cc%29"
    assert seen.body == b'{"x":1}'
    assert seen.headers["Content-Type"] == STRATEGIC_MERGE
    assert seen.headers["Authorization"] == f"Bearer {TOKEN}"
    assert seen.headers["User-Agent"].startswith("inplace/")
    assert seen.headers.get_all("Impersonate-User") == ["jane"]
    assert seen.headers.get_all("Impersonate-Group") == ["a", "b"]


def test_all_of_an_impersonated_user_is_sent(server: Server, tmp_path: Path) -> None:
    """A scope that narrows the rights must not be lost on the way."""
    extra = {"scopes": ["view", "logs"], "example.com/Team": ["x"]}
    user = {"as": "jane", "as-uid": "u-1", "as-groups": ["a", "b"], "as-user-extra": extra}
    file = tmp_path / "config"
    config = {
        "current-context": "one",
        "clusters": [{"name": "one", "cluster": {"server": server.url}}],
        "users": [{"name": "me", "user": user}],
        "contexts": [{"name": "one", "context": {"cluster": "one", "user": "me"}}],
    }
    file.write_text(json.dumps(config))
    of_file = ConnectOptions(kubeconfig=str(file))
    flagged = ConnectOptions(kubeconfig=str(file), as_user="joe", as_groups=("c",))
    for options, who, groups in ((of_file, "jane", ["a", "b"]), (flagged, "joe", ["c"])):
        connection = connect(options, environ={})
        connection.transport.call(Request(method="GET", path="/version"), 10)
        sent = server.seen[-1].headers
        assert (sent.get_all("Impersonate-User"), sent.get_all("Impersonate-Uid")) == ([who], ["u-1"])
        assert sent.get_all("Impersonate-Group") == groups
        assert sent.get_all("Impersonate-Extra-scopes") == ["view", "logs"]
        assert sent.get_all("Impersonate-Extra-example.com%2FTeam") == ["x"]


@pytest.mark.parametrize("status", [302, 404, 500, 503])
def test_every_status_is_an_answer_and_nothing_is_repeated(server: Server, transport: KubeTransport, status: int) -> None:
    server.behave = lambda handler: handler.answer(status)
    assert transport.call(GET, 10).status == status
    assert len(server.seen) == 1


def test_a_connection_serves_many_calls(server: Server, transport: KubeTransport) -> None:
    for _ in range(3):
        transport.call(GET, 10)
    assert len({handler.client_address for handler in server.seen}) == 1


def test_half_an_answer_is_a_failed_connection(server: Server, transport: KubeTransport) -> None:
    def behave(handler: Handler) -> None:
        handler.answer(200, b"{", length=100)
        handler.close_connection = True

    server.behave = behave
    with pytest.raises(ConnectionFailed) as caught:
        transport.call(GET, 10)
    assert str(caught.value) == f"{server.url}: the connection broke"


def test_silence_is_a_failed_connection_without_secrets(server: Server, transport: KubeTransport) -> None:
    server.behave = lambda _: server.finish.wait(30)
    with pytest.raises(ConnectionFailed) as caught:
        transport.call(GET, 0.05)
    assert str(caught.value) == f"{server.url}: no answer for 0.05 s"
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_server_that_drips_is_cut_off(server: Server, transport: KubeTransport) -> None:
    def drip(handler: Handler) -> None:
        handler.chunks()
        try:
            while not server.finish.wait(0.01):
                handler.wfile.write(b"1\r\nx\r\n")
        except OSError:
            handler.close_connection = True

    server.behave = drip
    with pytest.raises(ConnectionFailed, match=r"no answer for 0.1 s"):
        transport.call(GET, 0.1)


def test_nobody_there_is_a_failed_connection() -> None:
    transport = transport_of(ConnectOptions(server="http://127.0.0.1:1", token=TOKEN))
    with pytest.raises(ConnectionFailed, match=r"^http://127.0.0.1:1: cannot connect: Connection refused$"):
        transport.call(GET, 10)


def test_a_stream_gives_lines_as_they_come(server: Server, transport: KubeTransport) -> None:
    def behave(handler: Handler) -> None:
        handler.chunks(b'{"a":1}\n{"b"', b":2}\n")
        server.finish.wait(30)

    server.behave = behave
    with transport.stream(GET, 10) as stream:
        lines = iter(stream)
        assert [next(lines), next(lines)] == [b'{"a":1}', b'{"b":2}']


def test_a_stream_ends_where_the_server_ends_it(server: Server, transport: KubeTransport) -> None:
    server.behave = lambda handler: handler.chunks(b"1\n", b"")
    with transport.stream(GET, 10) as stream:
        assert list(stream) == [b"1"]


def test_a_stream_that_breaks_is_a_failed_connection(server: Server, transport: KubeTransport) -> None:
    def behave(handler: Handler) -> None:
        handler.chunks(b"1\n")
        handler.wfile.write(b"50\r\n{")
        handler.close_connection = True

    server.behave = behave
    with transport.stream(GET, 10) as stream:
        lines = iter(stream)
        assert next(lines) == b"1"
        with pytest.raises(ConnectionFailed, match="the connection broke"):
            list(lines)


def test_a_silent_stream_is_a_failed_connection(server: Server, transport: KubeTransport) -> None:
    def behave(handler: Handler) -> None:
        handler.chunks(b"1\n")
        server.finish.wait(30)

    server.behave = behave
    with transport.stream(GET, 0.05) as stream, pytest.raises(ConnectionFailed, match=r"no answer for 0.05 s"):
        list(stream)


def test_a_refused_stream_gives_its_body(server: Server, transport: KubeTransport) -> None:
    server.behave = lambda handler: handler.answer(410, b'{"code":410}')
    with transport.stream(GET, 10) as stream:
        assert (stream.status, stream.read()) == (410, b'{"code":410}')


def test_closing_from_another_thread_ends_a_stream_at_once(server: Server, transport: KubeTransport) -> None:
    def behave(handler: Handler) -> None:
        handler.chunks(b"1\n")
        server.finish.wait(60)

    server.behave = behave
    with transport.stream(GET, 100) as stream:
        lines = iter(stream)
        assert next(lines) == b"1"
        closer = threading.Thread(target=stream.close)
        closer.start()
        assert list(lines) == []
        closer.join()
        stream.close()


def test_a_401_loads_the_credentials_afresh_once(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "config"

    def write(token: str) -> None:
        context = {"name": "c", "context": {"cluster": "c", "user": "me"}}
        cluster = {"name": "c", "cluster": {"server": server.url}}
        user = {"name": "me", "user": {"token": token}}
        path.write_text(yaml.safe_dump({"current-context": "c", "contexts": [context], "clusters": [cluster], "users": [user]}))

    def behave(handler: Handler) -> None:
        handler.answer(200 if handler.headers["Authorization"] == "Bearer new" else 401)

    server.behave = behave
    write("old")
    transport = transport_of(ConnectOptions(kubeconfig=str(path)))
    transport._loaded_at -= 60
    write("new")
    assert transport.call(GET, 10).status == 200
    write("newest")
    transport._credentials = {"authorization": "Bearer old"}
    assert transport.call(GET, 10).status == 401
    transport.close()


def test_flags_outlive_the_renewal_of_a_token(server: Server, tmp_path: Path) -> None:
    """The library's renewal writes the kubeconfig's server back over the flag's (seen on a real cluster)."""
    path = tmp_path / "config"
    cluster = {"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}
    context = {"name": "c", "context": {"cluster": "c", "user": "me"}}
    user = {"name": "me", "user": {"token": TOKEN}}
    path.write_text(json.dumps({"current-context": "c", "contexts": [context], "clusters": [cluster], "users": [user]}))
    transport = transport_of(ConnectOptions(kubeconfig=str(path), server=server.url))
    for _ in range(2):
        transport._credentials_until = 0
        assert transport.call(GET, 10).status == 200
    transport.close()


def test_credentials_not_renewed_are_used_until_they_are_refused(
    server: Server, transport: KubeTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: object) -> None:
        raise FileNotFoundError(2, "No such file or directory")

    transport.call(GET, 10)
    monkeypatch.setattr(transport._configuration, "refresh_api_key_hook", fails)
    transport._credentials_until = 0
    assert transport.call(GET, 10).status == 200
    assert server.seen[1].headers["Authorization"] == f"Bearer {TOKEN}"
    transport._credentials, transport._credentials_until = {}, 0
    with pytest.raises(ConnectionFailed, match=r"^the credentials cannot be renewed: No such file or directory$"):
        transport.call(GET, 10)


ABOUT = r"\(it is for kubernetes, kubernetes.default, 127.0.0.1, ::1; issued by kubernetes-ca; valid from 20\S+ to 2\S+\)"


@pytest.mark.parametrize(
    ("shown", "trusted", "host", "says"),
    [
        (
            SERVED,
            OTHER_CA,
            "127.0.0.1",
            rf"its certificate is signed by an authority that we do not trust {ABOUT}: give the CA",
        ),
        (SERVED, CA, "localhost", rf"its certificate is not for localhost {ABOUT}: name the server as it does"),
        (EXPIRED, CA, "127.0.0.1", rf"its certificate has expired {ABOUT}; is our clock right\?"),
        (SERVED, "no certificate", "127.0.0.1", r"TLS failed: no certificate is in what we are to trust"),
    ],
)
def test_a_certificate_problem_is_named_once_and_nothing_is_sent(
    server: Server, tmp_path: Path, shown: str, trusted: str, host: str, says: str
) -> None:
    (tmp_path / "served.pem").write_text(KEY + shown)
    (tmp_path / "ca.pem").write_text(trusted)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "served.pem")
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    url, ca = f"https://{host}:{server.server_port}", str(tmp_path / "ca.pem")
    transport = transport_of(ConnectOptions(server=url, token=TOKEN, certificate_authority=ca))
    with pytest.raises(ConnectionFailed, match=rf"^{url}: {says}") as caught:
        transport.call(GET, 10)
    assert not is_retryable(caught.value)
    assert server.seen == []
    transport.close()


def test_a_server_that_speaks_no_tls(server: Server) -> None:
    transport = transport_of(ConnectOptions(server=server.url.replace("http:", "https:")))
    with pytest.raises(ConnectionFailed, match="TLS failed: it does not speak TLS: is its address http://"):
        transport.call(GET, 10)


def test_a_401_says_what_is_known_of_the_credentials(server: Server) -> None:
    expired = "h.eyJleHAiOjE3NjQyOTc1NzB9.s"
    server.behave = lambda handler: handler.answer(401, b'{"kind":"Status","message":"Unauthorized"}')
    for token, says in ((expired, "the token expired at 2025-11-28T02:39:30Z"), ("opaque", "log in again, or name others")):
        transport = transport_of(ConnectOptions(server=server.url, token=token))
        response = transport.call(GET, 10)
        error = error_from_response(GET, response)
        assert str(error).startswith(f"the API server does not accept our credentials (401 Unauthorized): {says}")
        assert token not in str(error)
        transport.close()


@pytest.mark.parametrize(
    ("chunks", "lines"),
    [
        ([], []),
        ([b"a\nb\n"], [b"a", b"b"]),
        ([b"a", b"b\n", b"\n\nc"], [b"ab", b"c"]),
        ([b'{"x":"\xc3', b'\xa9"}\n'], ['{"x":"é"}'.encode()]),
    ],
)
def test_lines_are_whole_however_they_are_cut(chunks: list[bytes], lines: list[bytes]) -> None:
    assert list(lines_of(chunks)) == lines


def test_importing_us_does_not_load_the_client_library() -> None:
    modules = "inplace.kube.connection.config, inplace.kube.api, inplace.kube.informers.reflector_thread"
    code = f"import sys, {modules}; print('kubernetes' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
