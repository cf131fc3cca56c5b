"""A reflector on a thread: it ends when told, and never dies in silence."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from inplace.kube.informers.cache import Cache
from inplace.kube.informers.reflector import Reflector
from inplace.kube.informers.reflector_thread import ReflectorThread
from inplace.kube.protocols import Request, Response
from inplace.kube.resources import PODS
from inplace.model.objects.pods import Pod
from tests.unit.kube.fakes import FakeClock, FakeTransport, page, pod, refusal


class OpenStream:
    """Silent until it is closed, as a quiet watch."""

    status = 200

    def __init__(self) -> None:
        self.reading = threading.Event()
        self._closed = threading.Event()

    def read(self) -> bytes:
        return b""

    def __iter__(self) -> Iterator[bytes]:
        self.reading.set()
        self._closed.wait(60)
        return iter(())

    def close(self) -> None:
        self._closed.set()


class QuietServer:
    def __init__(self, first_page: Response) -> None:
        self.open_stream = OpenStream()
        self._first_page = first_page

    def call(self, request: Request, timeout_seconds: float) -> Response:
        return self._first_page

    @contextmanager
    def stream(self, request: Request, read_timeout_seconds: float) -> Iterator[OpenStream]:
        yield self.open_stream


def test_looking_afresh_ends_an_open_watch_and_lists_anew() -> None:
    server, synced = QuietServer(page(10, pod("a", 1))), threading.Event()
    cache: Cache[Pod] = Cache()
    reflector = Reflector(PODS, cache, FakeClock())
    reflector.on_state = lambda: synced.set() if reflector.has_synced else synced.clear()
    pump = ReflectorThread(reflector, server, lambda _error: None)
    pump.start()
    assert server.open_stream.reading.wait(30)
    assert reflector.has_synced
    synced.clear()
    reflector.relist()
    assert synced.wait(30)
    assert reflector.has_synced
    pump.stop(timeout_seconds=30)
    assert not pump.is_alive


def test_stopping_ends_an_open_watch() -> None:
    server, crashes = QuietServer(page(10, pod("a", 1))), list[Exception]()
    cache: Cache[Pod] = Cache()
    pump = ReflectorThread(Reflector(PODS, cache, FakeClock()), server, crashes.append)
    pump.start()
    assert server.open_stream.reading.wait(30)
    pump.stop(timeout_seconds=30)
    assert not pump.is_alive
    assert cache.has_synced
    assert crashes == []


def test_stopping_ends_a_wait() -> None:
    waiting = threading.Event()
    cache: Cache[Pod] = Cache()
    reflector = Reflector(PODS, cache, FakeClock(jitter=0.99), on_state=waiting.set)
    pump = ReflectorThread(reflector, FakeTransport(refusal(429, retry_after="3000")), lambda _: None)
    pump.start()
    assert waiting.wait(30)
    pump.stop(timeout_seconds=30)
    assert not pump.is_alive


def test_a_bug_in_a_listener_is_handed_on() -> None:
    crashes: list[Exception] = []
    done = threading.Event()
    cache: Cache[Pod] = Cache()

    def broken(_old: Pod | None, _new: Pod | None) -> None:
        raise ZeroDivisionError

    def crashed(error: Exception) -> None:
        crashes.append(error)
        done.set()

    cache.subscribe(broken)
    ReflectorThread(Reflector(PODS, cache, FakeClock()), FakeTransport(page(10, pod("a", 1))), crashed).start()
    assert done.wait(30)
    assert isinstance(crashes[0], ZeroDivisionError)


def test_a_pump_that_never_started_can_be_stopped() -> None:
    cache: Cache[Pod] = Cache()
    ReflectorThread(Reflector(PODS, cache, FakeClock()), FakeTransport(), lambda _: None).stop()
