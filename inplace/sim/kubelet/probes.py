"""The probes of one container. Only the probe that will change something becomes an event: a probe per period and pod would be
most of the work of the whole simulation, and almost all of them tell nothing.

As in the real kubelet: probes tick from the pod's admission, whatever restarts; a status that shows a container not ready
makes its readiness probe run at once; a startup probe notices a new container only at its next tick, and until then the
kubelet carries the old container's `started: true` over (kubernetes#141155).
"""

from __future__ import annotations

import math
from collections.abc import Callable

from inplace.sim.clock import EventLoop, Timer
from inplace.sim.kubelet.containers import NEVER, Container, Instance
from inplace.sim.objects.errors import Json

PROBE_SECONDS = 0.004


class Probe:
    """One probe's pace."""

    def __init__(self, spec: Json, phase: float) -> None:
        self.period = float(spec.get("periodSeconds", 10))
        self.initial_delay = float(spec.get("initialDelaySeconds", 0))
        self.failures = int(spec.get("failureThreshold", 3))
        self.successes = int(spec.get("successThreshold", 1))
        self._phase = phase

    def tick(self, not_before: float) -> float:
        """The first tick at or after this instant."""
        if not_before == NEVER:
            return NEVER
        ticks = max(0, math.ceil((not_before - self._phase) / self.period - 1e-9))
        return self._phase + ticks * self.period

    def tick_after(self, instant: float) -> float:
        return self.tick(instant + 1e-6)


class Probes:
    """`on_ready`, `on_started`: a result turned, with the new value. `on_unhealthy`: the container must be restarted;
    with the probe's name. `on_failed`: a probe failed, for an event."""

    def __init__(
        self,
        scheduler: EventLoop,
        container: Container,
        spec: Json,
        on_ready: Callable[[], None],
        on_unhealthy: Callable[[str], None],
        on_failed: Callable[[str], None],
    ) -> None:
        self._scheduler = scheduler
        self._container = container
        self._on_ready = on_ready
        self._on_unhealthy = on_unhealthy
        self._on_failed = on_failed
        phase = scheduler.now
        self._readiness, self._startup, self._liveness = (
            Probe(spec[name], phase) if spec.get(name) else None for name in ("readinessProbe", "startupProbe", "livenessProbe")
        )
        self._probed: Instance | None = None
        self._is_ready = False
        self._is_started: bool | None = None
        self._timers: dict[str, Timer] = {}

    def started(self) -> bool:
        """As the next status will say. Carried over by name until the startup probe has noticed the new container."""
        if not self._container.is_running:
            return False
        if self._startup is None:
            return True
        if self._probed is self._container.current and self._is_started is not None:
            return self._is_started
        return self._container.reported_started

    def ready(self) -> bool:
        if not self.started():
            return False
        return self._readiness is None or (self._probed is self._container.current and self._is_ready)

    def stop(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def published(self) -> None:
        """The status now shows the container as it is: probes may begin on a new instance."""
        current = self._container.current
        if current is None or not current.is_running:
            return
        if current is not self._probed:
            self.stop()
            self._probed, self._is_ready, self._is_started = current, False, None
            if self._startup is not None:
                self._await_startup(self._startup, current)
            else:
                self._begin(current)
        elif self._readiness and not self._is_ready and self.started() and "ready" not in self._timers:
            self._await_ready(self._readiness, current)

    def health_changed(self) -> None:
        """The app fell sick or well: the next ticks will see it."""
        current = self._container.current
        if current is None or not current.is_running or current is not self._probed:
            return
        for name in ("ready", "unready", "liveness"):
            if timer := self._timers.pop(name, None):
                timer.cancel()
        self._begin(current)
        probe = self._readiness
        if probe and self._is_ready and current.is_sick:
            at = probe.tick_after(self._scheduler.now) + (probe.failures - 1) * probe.period
            self._at("unready", at, lambda: self._set_ready(value=False))

    def _begin(self, current: Instance) -> None:
        if self._readiness and not self._is_ready:
            self._await_ready(self._readiness, current)
        if self._liveness:
            self._await_unhealthy(self._liveness, current, "liveness", self._scheduler.now)

    def _await_ready(self, probe: Probe, current: Instance) -> None:
        now = self._scheduler.now
        may_begin = current.started_at + probe.initial_delay
        if current.answers(now) and now >= may_begin and probe.successes == 1:
            self._at("ready", now + PROBE_SECONDS, lambda: self._set_ready(value=True))
            return
        if not current.answers(now) and now >= may_begin:
            self._on_failed("Readiness")
        if current.is_sick or current.answers_at == NEVER:
            return
        at = probe.tick(max(current.answers_at, may_begin, now + PROBE_SECONDS)) + (probe.successes - 1) * probe.period
        self._at("ready", at + PROBE_SECONDS, lambda: self._set_ready(value=True))

    def _await_startup(self, probe: Probe, current: Instance) -> None:
        """A carried-over `started: true` is taken back at the next tick; probing begins with the tick after that."""
        now = self._scheduler.now
        if self._container.reported_started:
            noticed = probe.tick_after(now)
            self._at("noticed", noticed, lambda: self._set_started(value=False))
            self._begin(current)
            first = noticed + probe.period
        else:
            self._is_started = False
            first = probe.tick_after(now)
        first = max(first, probe.tick(current.started_at + probe.initial_delay))
        success = max(first, probe.tick(current.answers_at))
        failure = first + (probe.failures - 1) * probe.period
        if success <= failure:
            self._at("startup", success + PROBE_SECONDS, lambda: self._set_started(value=True))
        else:
            self._at("startup", failure + PROBE_SECONDS, lambda: self._unhealthy(current, "startup"))

    def _await_unhealthy(self, probe: Probe, current: Instance, name: str, since: float) -> None:
        """Restarts it where it fails often enough before it answers."""
        first = max(probe.tick_after(since), probe.tick(current.started_at + probe.initial_delay))
        failure = first + (probe.failures - 1) * probe.period
        if current.is_sick or current.answers_at > failure:
            self._at("liveness", failure + PROBE_SECONDS, lambda: self._unhealthy(current, name))

    def _unhealthy(self, probed: Instance, name: str) -> None:
        """Results belong to a container id: a late one of the container before says nothing of the one that runs now."""
        if self._container.current is probed:
            self._on_unhealthy(name)

    def _set_ready(self, *, value: bool) -> None:
        self._timers.pop("ready", None)
        if self._is_ready != value and self._container.current is self._probed:
            self._is_ready = value
            self._on_ready()

    def _set_started(self, *, value: bool) -> None:
        current = self._container.current
        if current is not self._probed or current is None:
            return
        self._is_started = value
        if timer := self._timers.pop("liveness", None):
            timer.cancel()
        self._on_ready()
        if value:
            self._begin(current)

    def _at(self, name: str, when: float, act: Callable[[], None]) -> None:
        if old := self._timers.pop(name, None):
            old.cancel()
        if when < NEVER:
            self._timers[name] = self._scheduler.at(when, act)
