"""Runs a `Reflector` on a thread of its own, over a `Transport`. Decides nothing: the reflector says what to do, and when.

`stop` ends a wait and an open watch at once. A bug (of a listener, say) ends the thread and is handed to `on_crash`: a cache
that silently stays behind would be worse than a process that dies.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from inplace.kube.errors import ApiError
from inplace.kube.informers.reflector import List, Reflector, Wait, Watch
from inplace.kube.protocols import Response, Stream, Transport

LIST_TIMEOUT_SECONDS = 60.0


class ReflectorThread:
    """Start and stop once."""

    def __init__(self, reflector: Reflector[Any], transport: Transport, on_crash: Callable[[Exception], None]) -> None:
        self._reflector = reflector
        self._transport = transport
        self._on_crash = on_crash
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._stream: Stream | None = None
        self._thread = threading.Thread(target=self._run, name=f"watch-{reflector.resource.plural}", daemon=True)
        reflector.hang_up = self._hang_up

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_seconds: float = 5.0) -> None:
        """Waits at most this long for the thread; a list on its way may keep it longer."""
        with self._lock:
            self._stopped.set()
        self._hang_up()
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout_seconds)

    def _hang_up(self) -> None:
        with self._lock:
            stream = self._stream
        if stream is not None:
            stream.close()

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                match self._reflector.next_command():
                    case Wait(seconds):
                        self._stopped.wait(seconds)
                    case command:
                        execute(command, self._reflector, self._transport, self._hold)
        except Exception as error:
            self._on_crash(error)

    def _hold(self, stream: Stream | None) -> bool:
        with self._lock:
            self._stream = stream
            return not self._stopped.is_set() and not self._reflector.is_behind


def execute(
    command: List | Watch,
    reflector: Reflector[Any],
    transport: Transport,
    hold: Callable[[Stream | None], bool] = lambda _stream: True,
) -> None:
    """Carries out one command to its end. `hold` is told the open stream, and None when it is over; False ends it."""
    try:
        match command:
            case List(request):
                reflector.on_listed(transport.call(request, LIST_TIMEOUT_SECONDS))
            case Watch(request, read_timeout_seconds):
                with transport.stream(request, read_timeout_seconds) as stream:
                    try:
                        if hold(stream):
                            _read(stream, reflector)
                    finally:
                        hold(None)
    except ApiError as error:
        reflector.on_error(error)


def _read(stream: Stream, reflector: Reflector[Any]) -> None:
    body = b"" if stream.status == 200 else stream.read()
    if not reflector.on_opened(Response(status=stream.status, body=body)):
        return
    for line in stream:
        if not reflector.on_line(line):
            return
    reflector.on_closed()
