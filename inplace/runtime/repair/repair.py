"""Frees what runs without a living holder left behind: closed gates, half-done commits, strategies, records, locks.

Always holds: a living holder is left alone; whether it lives is judged by its heartbeat within 15 s, as everywhere, and all
holders are watched at once. Every write to a pod or workload is planned by the planner, for a run that is being stopped, and
sent under the lock.
"""

from __future__ import annotations

from collections.abc import Callable

from inplace.kube.api import ApiClient
from inplace.model.refs import TargetRef
from inplace.model.run import lease_name
from inplace.runtime.foreground.session import Session
from inplace.runtime.lookup import resolve_target
from inplace.runtime.repair.context import RepairContext, RepairEvent, describe_target
from inplace.runtime.repair.holders import watch_holders
from inplace.runtime.repair.leases import repair_lease
from inplace.runtime.repair.orphans import remove_stale_finalizers, repair_orphaned_pods, restore_lost_strategies
from inplace.runtime.run.backend import RunBackend


class Repair:
    """`on_event` gets each event as it happens. `on_session` gets each session that writes."""

    def __init__(
        self,
        api: ApiClient,
        identity: str,
        on_event: Callable[[RepairEvent], None],
        on_session: Callable[[Session], None],
        backend: RunBackend | None = None,
        *,
        dry_run: bool = False,
    ) -> None:
        self._context = RepairContext(api, identity, on_event, on_session, backend, dry_run=dry_run)

    def repair(self, namespace: str | None, only: TargetRef | None) -> bool:
        """Returns whether nothing is left closed without a living owner. `namespace` None: all. Raises `ApiError` and
        `RefusedError`."""
        context = self._context
        selector = resolve_target(context.api, only).selector if only is not None else ""
        leases, alive = watch_holders(context.api, namespace, lease_name(only) if only is not None else "")
        owners = set(alive)
        for key, lease in leases.items():
            if key in alive:
                context.report("found", describe_target(lease), f"{alive[key]}: left alone")
            elif repair_lease(context, lease):
                owners.add(key)
        names = set(only.pod_names) if only is not None else set()
        repair_orphaned_pods(context, namespace, selector, names, owners)
        restore_lost_strategies(context, namespace, only, owners)
        remove_stale_finalizers(context, namespace, only, set(alive))
        return context.is_clean
