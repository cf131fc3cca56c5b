"""`inplace gate run` as a process: one rule, a watch, leader election and health around a `GateReconciler`."""

from __future__ import annotations

import structlog

from inplace.engine.gate_rules import GateRule
from inplace.kube.api import ApiClient
from inplace.kube.codec import Unreadable
from inplace.kube.informers.cache import Cache
from inplace.kube.informers.reflector import Reflector, all_synced
from inplace.kube.paging import ListOptions
from inplace.kube.resources import PODS
from inplace.model.objects.pods import Pod
from inplace.runtime.gates.reconciler import RESYNC, GateReconciler
from inplace.runtime.lease.leader_election import LeaderElector
from inplace.runtime.observability.health import LIVENESS_SECONDS, TEXT, Health, HealthServer
from inplace.runtime.threads import SYSTEM_THREADS, Threads


class GateController:
    """Keeps one gate, with a watch of its own: `run` until `stop`.

    The Lease of `leader` shows others that it lives and what it opens; of several with the same rule one works. Without a
    leader it works at once, and nobody sees that it does.
    """

    def __init__(
        self,
        api: ApiClient,
        rule: GateRule,
        scope: ListOptions,
        *,
        resync_seconds: float = 30.0,
        workers: int = 4,
        leader: LeaderElector | None = None,
        listen: str = "",
        threads: Threads = SYSTEM_THREADS,
    ) -> None:
        """Raises OSError if it cannot listen."""
        self._api = api
        self._rule = rule
        self.resync_seconds = resync_seconds
        self._log = structlog.get_logger()
        self._threads = threads
        self._exits = threads.exit_queue()
        self.pods: Cache[Pod] = Cache()
        self.reflector = Reflector(
            PODS, self.pods, api.clock, scope=scope, on_state=self._watch_changed, on_unreadable=self._log_unreadable
        )
        self.leader = leader
        self.gates = GateReconciler(
            api, (rule,), (self.pods,), fence=leader, resync_seconds=resync_seconds, workers=workers, threads=threads
        )
        self._server = HealthServer(self._health(), listen) if listen else None
        self._has_led = False
        self.gates.subscribe()

    def run(self) -> None:
        """Work until `stop`. Raises the bug that ended a thread."""
        watching = self._threads.watching(self.reflector, self._api.transport, self._exits.put)
        if self._server is not None:
            self._server.start()
        watching.start()
        if self.leader is None:
            self.gates.start(self._exits.put)
        else:
            self.leader.start(self._start_leading, self._exits.put)
        why = self._exits.get()
        watching.stop(0.5)
        self.gates.stop()
        if self.leader is not None:
            self.leader.stop()
        if self._server is not None:
            self._server.stop()
        if why is not None:
            raise why

    def _start_leading(self) -> None:
        """May be called again, when it leads after another has."""
        if self._has_led:
            self.gates.queue.add(RESYNC)
        else:
            self._has_led = True
            self.gates.start(self._exits.put)

    def _health(self) -> Health:
        def election() -> str | None:
            idle_seconds = self._api.clock.monotonic() - self.leader.stepped_at if self.leader is not None else 0.0
            return f"has done nothing for {idle_seconds:.0f} s" if idle_seconds > LIVENESS_SECONDS else None

        def cache() -> str | None:
            if all_synced((self.reflector,)):
                return None
            return str(self.reflector.error) if self.reflector.error is not None else "not everything was listed yet"

        return Health({"leader-election": election}, {"caches": cache}, lambda: (b"", TEXT))

    def stop(self) -> None:
        """End `run`, which waits for the writes on their way; from any thread, or a signal handler."""
        self._exits.put(None)

    def _log_unreadable(self, unreadable: Unreadable) -> None:
        meta = unreadable.metadata
        self._log.warning("cannot be read", pod=f"{meta.namespace}/{meta.name}", why=unreadable.why)

    def _watch_changed(self) -> None:
        if self.reflector.error is not None:
            self._log.warning("cannot watch pods, trying again", why=str(self.reflector.error))
            return
        pods, condition = len(self.pods.snapshot()), self._rule.condition
        self._log.info("watching pods", condition=condition, pods=pods, with_gate=self.gates.count_gated())
