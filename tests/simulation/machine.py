"""The machine that a process runs on, which may sleep while the cluster goes on: nothing of the process happens meanwhile, what
comes to it comes when it wakes, and its waits have stood still (those of threads count CLOCK_MONOTONIC). Its clock has not."""

from __future__ import annotations

from collections.abc import Callable

from inplace.sim.clock import EventLoop, Timer


class Machine:
    def __init__(self, scheduler: EventLoop) -> None:
        self.scheduler = scheduler
        self._naps: list[tuple[float, float]] = []

    def sleep(self, seconds: float) -> None:
        """From now on."""
        self._naps.append((self.scheduler.now, self.scheduler.now + seconds))

    def after(self, seconds: float, callback: Callable[[], None]) -> Timer:
        return self.at(self.scheduler.now + seconds, callback)

    def at(self, when: float, callback: Callable[[], None]) -> Timer:
        """That instant, and as much later as it sleeps until then."""
        made_at, waited = self.scheduler.now, 0.0

        def due() -> None:
            nonlocal waited
            if waited and timer.callback is None:
                return  # cancelled
            more = self._slept_since(made_at) - waited
            if more <= 0:
                callback()
                return
            waited += more
            timer.callback = callback
            self.scheduler.after(more, due)

        timer = self.scheduler.at(when, due)
        return timer

    def _slept_since(self, instant: float) -> float:
        """To the end of a sleep that goes on."""
        return sum(max(0.0, ends_at - max(began_at, instant)) for began_at, ends_at in self._naps)
