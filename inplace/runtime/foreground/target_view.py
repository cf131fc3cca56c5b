"""A target as a command in the foreground sees it: its informers, the snapshots built from them, and what they resolve to.

Only reads. Opening one checks that the cluster is new enough, that the caller has the permissions and that the target exists.
"""

from __future__ import annotations

from inplace.engine.planning.plan import Caution
from inplace.engine.preflight import new_pods
from inplace.engine.snapshot import Snapshot
from inplace.kube.api import ApiClient
from inplace.kube.errors import Forbidden, Unauthorized
from inplace.model.refs import TargetRef
from inplace.model.run import Run, lease_name
from inplace.runtime.errors import RefusedError
from inplace.runtime.informers.snapshot_builder import SnapshotBuilder
from inplace.runtime.informers.target_informers import TargetInformers
from inplace.runtime.lookup import resolve_target
from inplace.runtime.permissions import Purpose, missing_permissions, refusal, required_permissions, version_problem
from inplace.runtime.run.assembly import quick_client
from inplace.runtime.run.backend import RunBackend, ThreadBackend
from inplace.runtime.run.resolver import RunResolver
from inplace.runtime.run.server_dry_run import COMMAND_PATIENCE_SECONDS

SYNC_SECONDS = 60.0


class TargetView:
    """One target, watched until the end of the context. Opening it raises `RefusedError` or `ApiError`."""

    def __init__(self, api: ApiClient, target: TargetRef, purpose: Purpose, backend: RunBackend | None = None) -> None:
        self.api = api
        self.target = target
        self.backend: RunBackend = backend or ThreadBackend()
        self.inbox = self.backend.inbox(api.clock)
        too_old = version_problem(quick_client(api))
        if too_old is not None:
            raise RefusedError(too_old)
        missing = missing_permissions(api.replace(limiter=None), target.namespace, required_permissions(target.kind, purpose))
        if missing:
            raise refusal(missing, target.namespace)
        self.resolved = resolve_target(api, target)
        self.informers = TargetInformers(api, self.inbox, target, self.resolved.selector, lease_name(target))
        self.snapshot_builder = SnapshotBuilder(self.informers, target, self.resolved.uid)
        self.resolver = RunResolver(
            api,
            target,
            self.resolved,
            self.look,
            self.informers,
            looks_up_openers=True,
            patience_seconds=COMMAND_PATIENCE_SECONDS,
        )
        self._running_informers = self.backend.informers(self.informers)
        self._running_informers.start()

    def __enter__(self) -> TargetView:
        return self

    def __exit__(self, *_: object) -> None:
        self._running_informers.stop()

    def look(self, run: Run) -> Snapshot:
        """The snapshot that the run would be judged on, once every cache has synced. Raises `RefusedError`."""
        self.snapshot_builder.accept_undrainable(run.options.accept_undrainable)
        clock = self.api.clock
        ends_at = clock.monotonic() + SYNC_SECONDS
        while True:
            for at, event in self.inbox.take():
                self.snapshot_builder.handle(event, at)
            if self.informers.is_synced:
                return self.current_snapshot()
            if isinstance(error := self.informers.error, (Unauthorized, Forbidden)):
                raise error  # waiting does not help
            if clock.monotonic() > ends_at:
                raise RefusedError(
                    f"the API server did not list everything in {SYNC_SECONDS:.0f}s: {self.informers.error or 'no answer'}"
                )
            self.inbox.wait(1.0)

    def current_snapshot(self) -> Snapshot:
        """The snapshot as far as events have been handled."""
        return self.snapshot_builder.build(self.api.clock.monotonic(), {})

    def look_with_openers(self, run: Run) -> Snapshot:
        """As `look`, and who opens the gates of new pods."""
        return self.resolver.with_gate_openers(self.look(run), run)

    def new_pod_warnings(self, run: Run) -> tuple[Caution, ...]:
        """Warns where nobody opens the gates of new pods. Raises `RefusedError`."""
        return tuple(new_pods.cautions(self.look_with_openers(run), self.target, run.options.gate))
