"""Finds out which holders of Leases are alive: all held Leases are watched at once, for as long as a Lease lasts unrenewed."""

from __future__ import annotations

from inplace.kube.api import ApiClient
from inplace.kube.resources import LEASES
from inplace.model.constants import MANAGED_BY_SELECTOR
from inplace.model.objects.coordination import Lease
from inplace.runtime.lease.lock import LEASE_DURATION_SECONDS, Heartbeat, LockHeldError, read_heartbeat
from inplace.runtime.repair.context import Key, is_held

POLL_SECONDS = 0.5


def watch_holders(api: ApiClient, namespace: str | None, name: str) -> tuple[dict[Key, Lease], dict[Key, str]]:
    """Returns the Leases of targets, and for those whose holder is alive, or may be, why, in words. `name` empty: all."""
    clock, alive = api.clock, dict[Key, str]()
    latest = _list_leases(api, namespace, name)
    first = _read_heartbeats(api, latest, alive)
    ends_at, read_at = clock.monotonic() + LEASE_DURATION_SECONDS, clock.monotonic()
    while read_at < ends_at and any(is_held(lease) and key not in alive for key, lease in latest.items()):
        clock.sleep(POLL_SECONDS)
        read_at, latest = clock.monotonic(), _list_leases(api, namespace, name)
        for key, heartbeat in _read_heartbeats(api, latest, alive).items():
            if first.get(key) != heartbeat:
                alive[key] = f"{latest[key].spec.holder_identity} is at work"
    return latest, {key: why for key, why in alive.items() if key in latest and is_held(latest[key])}


def _read_heartbeats(api: ApiClient, leases: dict[Key, Lease], alive: dict[Key, str]) -> dict[Key, Heartbeat]:
    """Reads those of held Leases that are not known to be alive. Adds to `alive` those that may not be read."""
    heartbeats: dict[Key, Heartbeat] = {}
    for key, lease in leases.items():
        if is_held(lease) and key not in alive:
            try:
                heartbeats[key] = read_heartbeat(api, lease)
            except LockHeldError as unknown:
                alive[key] = str(unknown)
    return heartbeats


def _list_leases(api: ApiClient, namespace: str | None, name: str) -> dict[Key, Lease]:
    leases = api.list(LEASES, namespace, label_selector=MANAGED_BY_SELECTOR).items
    return {
        (lease.metadata.namespace, lease.metadata.name): lease for lease in leases if not name or lease.metadata.name == name
    }
