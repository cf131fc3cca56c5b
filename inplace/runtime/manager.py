"""One controller process: stands by, leads, ends.

It watches from its start, so that it can take over at once; it works while it leads; and it ends when it leads no more, since
whatever it held belongs to the next leader then. A clean stop waits for the writes on their way and lets go of leadership, so
that another takes over without waiting for a Lease to grow old.
"""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from typing import Protocol

import structlog

from inplace.runtime.controller import Controller


class Leadership(Protocol):
    """`start` calls `led` when this process leads, at once or on another thread, and `lost` when it must end."""

    @property
    def is_safe(self) -> bool: ...

    def start(self, led: Callable[[], None], lost: Callable[[BaseException], None]) -> None: ...

    def stop(self) -> None:
        """Lets go of it, if it is ours."""
        ...


class Manager:
    """`run` until `stop`, or until leadership is lost."""

    def __init__(self, controller: Controller, leadership: Leadership) -> None:
        self.controller = controller
        self.leadership = leadership
        self._ended: SimpleQueue[BaseException | None] = SimpleQueue()
        self._log = structlog.get_logger()

    def run(self) -> None:
        """Raises what it died of: a bug of a thread of ours, or the loss of leadership."""
        self._log.info("watching", namespaces=self.controller.namespaces or "all")
        self.controller.prepare(self._ended.put)
        self.leadership.start(lambda: self.lead(self.controller.lead), self._ended.put)
        why = self._ended.get()
        self.controller.stop()
        self.leadership.stop()
        if why is not None:
            raise why

    def stop(self) -> None:
        """From any thread, or a signal handler."""
        self._ended.put(None)

    def lead(self, work: Callable[[], None]) -> None:
        """`work` begins to work."""
        self._log.info("leading", identity=self.controller.leader.identity)
        work()
