"""Takes away what `install` has brought, but nothing that somebody still needs.

Refused while a run is live: whoever drives it would vanish in the middle. Whether it lives is told by its pulse, as everywhere:
its Lease, or that of the controller that holds it, changes within 15 s. The definition of the rollouts, which they die with,
stays unless it is asked for, and then as long as there is one. Objects without our label are not ours, and stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Literal

import msgspec

from inplace.kube.api import ApiClient
from inplace.kube.errors import ApiError, NotFound
from inplace.kube.resources import INPLACE_ROLLOUTS, LEASES, WORKLOADS, Resource
from inplace.model.constants import DEFAULT_GATE, MANAGED_BY_SELECTOR
from inplace.model.refs import SHORT_NAMES
from inplace.model.rollout import TERMINAL_PHASES, InPlaceRollout
from inplace.runtime.finalizers import has_finalizer, remove_finalizer
from inplace.runtime.install.apply import existing, refuse_missing
from inplace.runtime.lease.lock import LEASE_DURATION_SECONDS, Heartbeat, read_heartbeat, run_from_lease
from inplace.runtime.manifests import CONFIG_MAPS, CONTROLLER, OURS, Manifest, settings_of
from inplace.runtime.permissions import Permission
from inplace.runtime.settings import parse_settings

LOOK_SECONDS = 1.0
RELEASE_TRIES = 5
"""A rollout that has changed since it was read is read again."""

Removal = Literal["deleted", "absent", "left"]


class Removed(msgspec.Struct, frozen=True):
    """`left`: the object is not ours."""

    manifest: Manifest
    removal: Removal


class LiveRun(msgspec.Struct, frozen=True):
    """A run that is not over and is held, by a living or a dead holder."""

    namespace: str
    what: str
    how: str

    def __str__(self) -> str:
        return f"{self.what} in {self.namespace} ({self.how})"


Pulses = dict[LiveRun, Heartbeat]


class GatedWorkload(msgspec.Struct, frozen=True):
    """A workload whose template carries a gate."""

    namespace: str
    what: str
    gate: str


def check(api: ApiClient, found: Iterable[Manifest], scope: str | None, home: str) -> None:
    """Raises `RefusedError` where a permission is missing, and `ApiError`."""
    by_namespace: dict[str, list[Permission]] = {}
    for manifest in found:
        rights = [Permission(verb, manifest.resource.group, manifest.resource.plural) for verb in ("get", "delete")]
        by_namespace.setdefault(manifest.namespace, []).extend(rights)
    looked_at: tuple[Resource[Any], ...] = (LEASES, INPLACE_ROLLOUTS, *WORKLOADS.values())
    looks = [Permission("list", resource.group, resource.plural) for resource in looked_at]
    freeing = Permission("patch", INPLACE_ROLLOUTS.group, INPLACE_ROLLOUTS.plural)
    forgetting = Permission("delete", LEASES.group, LEASES.plural)
    by_namespace.setdefault(scope or "", []).extend([*looks, freeing])
    by_namespace.setdefault(home, []).append(forgetting)
    refuse_missing(api, by_namespace)


def live_runs(api: ApiClient, scope: str | None, home: str) -> list[LiveRun]:
    """In one namespace, or in all. `home` is the controller's namespace. Takes up to 15 s where somebody seems to be dead."""
    before = _pulses(api, scope, home)
    ends_at = api.clock.monotonic() + LEASE_DURATION_SECONDS
    while before and api.clock.monotonic() < ends_at:
        api.clock.sleep(LOOK_SECONDS)
        live = [run for run, pulse in _pulses(api, scope, home).items() if before.get(run) != pulse]
        if live:
            return sorted(live, key=lambda run: (run.namespace, run.what))
    return []


def _pulses(api: ApiClient, scope: str | None, home: str) -> Pulses:
    pulses: Pulses = {}
    held: set[tuple[str, str]] = set()
    for lease in api.list(LEASES, scope, label_selector=MANAGED_BY_SELECTOR).items:
        meta, holder = lease.metadata, lease.spec.holder_identity
        with suppress(ValueError):
            run = run_from_lease(lease)
            if run is not None and holder and run.is_unfinished:
                held.add((meta.namespace, meta.name))
                pulses[LiveRun(meta.namespace, str(run.target), f"held by {holder}")] = read_heartbeat(api, lease)
    waiting = [rollout for rollout in _rollouts(api, scope) if _is_waiting(rollout, held)]
    if waiting:
        with suppress(NotFound):
            leader = api.get(LEASES, home, CONTROLLER).spec
            for rollout in waiting:
                namespace = rollout.metadata.namespace
                how = f"InPlaceRollout {rollout.metadata.name}, {rollout.status.phase or 'not begun yet'}"
                run_at = LiveRun(namespace, str(rollout.spec.target.ref(namespace)), how)
                pulses[run_at] = leader.holder_identity, leader.renew_time
    return pulses


def _is_waiting(rollout: InPlaceRollout, held: set[tuple[str, str]]) -> bool:
    """Not over, and in no Lease: the controller will take it up."""
    return rollout.status.phase not in TERMINAL_PHASES and (rollout.metadata.namespace, rollout.status.lease) not in held


def rollouts_left(api: ApiClient) -> int:
    """How many there are, in all namespaces: they go with their definition."""
    return len(_rollouts(api, None))


def _rollouts(api: ApiClient, scope: str | None) -> Sequence[InPlaceRollout]:
    try:
        return api.list(INPLACE_ROLLOUTS, scope).items
    except NotFound:
        return ()


def delete_leader_lease(api: ApiClient, home: str) -> None:
    """The controller's own Lease is created by the controller, not by `install`."""
    with suppress(NotFound):
        api.delete(LEASES, home, CONTROLLER)


def remove_finalizers(api: ApiClient, scope: str | None) -> int:
    """Takes our finalizer off the rollouts, since nobody is left to do so: else they could not be deleted. How many had it.
    Raises `ApiError`."""
    count = 0
    for _ in range(RELEASE_TRIES):
        kept = [rollout for rollout in _rollouts(api, scope) if has_finalizer(rollout)]
        if not kept:
            return count
        count += sum(remove_finalizer(api, rollout) for rollout in kept)
    raise ApiError("InPlaceRollouts keep changing, and have our finalizer still: the same command goes on")


def managed_gates(api: ApiClient, found: Iterable[Manifest]) -> set[str]:
    """The gates that the controller opens, as far as its settings can be read; the default one among them."""
    gates = {DEFAULT_GATE}
    for manifest in found:
        if manifest.resource is CONFIG_MAPS:
            with suppress(ValueError):
                settings = parse_settings(settings_of(manifest, existing(api, manifest)))
                gates |= {rule.condition for rule in settings.rules()}
    return gates


def gated(api: ApiClient, scope: str | None, gates: Iterable[str]) -> list[GatedWorkload]:
    """Workloads whose new pods nobody will open; ReplicaSets are told by their Deployment."""
    wanted = set(gates)
    found = []
    for kind, resource in WORKLOADS.items():
        for item in api.list(resource, scope).items:
            meta = item.metadata
            if meta.controller() is None:
                carried = _gates_of(item.spec.template) & wanted
                found += [GatedWorkload(meta.namespace, f"{SHORT_NAMES[kind]}/{meta.name}", gate) for gate in sorted(carried)]
    return sorted(found, key=lambda one: (one.namespace, one.what))


def _gates_of(template: dict[str, Any]) -> set[str]:
    listed = (template.get("spec") or {}).get("readinessGates") or ()
    return {str(gate.get("conditionType", "")) for gate in listed}


def remove(api: ApiClient, found: Sequence[Manifest], *, dry_run: bool = False) -> Iterator[Removed]:
    """The last applied first; each as soon as it is done. Raises `ApiError`."""
    for manifest in reversed(found):
        yield Removed(manifest, _remove(api, manifest, dry_run))


def _remove(api: ApiClient, manifest: Manifest, dry_run: bool) -> Removal:
    there = existing(api, manifest)
    if there is None:
        return "absent"
    metadata = there["metadata"]
    key, value = OURS
    if (metadata.get("labels") or {}).get(key) != value:
        return "left"
    try:
        api.delete(
            manifest.resource,
            manifest.namespace or None,
            manifest.name,
            uid=metadata["uid"],
            propagation="Background",
            dry_run=dry_run,
        )
    except NotFound:
        return "absent"
    return "deleted"
