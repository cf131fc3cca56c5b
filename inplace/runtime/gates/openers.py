"""Finds who opens gates, by the Leases that they renew, with at most three reads and none after a living opener is found.

Whether a holder is alive is judged by the age of its last renewal on this machine's clock: a hint that decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from inplace.engine.gate_openers import GateOpener, GateOpeners, OpenedBy, decode_announcement
from inplace.engine.preflight.new_pods import gate_opening, has_gate
from inplace.engine.snapshot import Snapshot
from inplace.kube.api import ApiClient
from inplace.kube.clock import seconds_since
from inplace.kube.errors import ApiError, Forbidden, NotFound
from inplace.kube.resources import LEASES
from inplace.model.constants import GATES_ANNOTATION
from inplace.model.objects.coordination import Lease
from inplace.model.refs import TargetRef
from inplace.runtime.lease.lock import LEASE_DURATION_SECONDS
from inplace.runtime.manifests import SYSTEM_NAMESPACE
from inplace.runtime.settings import LEASE_NAME

PART_OF = "app.kubernetes.io/part-of=inplace"
"""Selects the Leases of gate openers and controllers."""
COMPONENT = "app.kubernetes.io/component"
GATE_RUN, CONTROLLER = "gate", "controller"
"""Values of that label. A controller's Lease may lack an announcement, as older versions wrote none."""


def with_openers(api: ApiClient, observed: Snapshot, target: TargetRef, gate: str) -> Snapshot:
    """Return the snapshot with those who open that gate on the target's new pods, as far as their Leases may be read.

    Never raises `ApiError`.
    """
    if not has_gate(observed, gate):
        return observed
    openers: tuple[GateOpener, ...] = ()
    unread: list[tuple[_LeaseQuery, ApiError]] = []
    for query in _lease_queries(api, target.namespace):
        try:
            leases = query.read()
        except NotFound:
            continue
        except ApiError as error:
            unread.append((query, error))
            continue
        names = {opener.name for opener in openers}
        openers += tuple(o for lease in leases if (o := _read_opener(api, lease)) is not None and o.name not in names)
        unread = [] if query.is_everywhere else unread
        extended = msgspec.structs.replace(observed, gate_openers=GateOpeners(openers, _format_unread(unread)))
        if isinstance(gate_opening(extended, gate, target.namespace), OpenedBy):
            return extended
    return msgspec.structs.replace(observed, gate_openers=GateOpeners(openers, _format_unread(unread)))


class _LeaseQuery(msgspec.Struct, frozen=True):
    """A read of Leases. `what` completes "you may not ..."."""

    read: Callable[[], Iterable[Lease]]
    what: str
    is_everywhere: bool = False


def _lease_queries(api: ApiClient, namespace: str) -> tuple[_LeaseQuery, ...]:
    """The namespace first; then the Lease of a controller for the whole cluster, which everybody may read; then everywhere."""
    return (
        _LeaseQuery(lambda: api.list(LEASES, namespace, label_selector=PART_OF).items, f"list Leases in namespace {namespace}"),
        _LeaseQuery(
            lambda: (api.get(LEASES, SYSTEM_NAMESPACE, LEASE_NAME),),
            f"get Lease {LEASE_NAME} in namespace {SYSTEM_NAMESPACE}",
        ),
        _LeaseQuery(
            lambda: api.list(LEASES, None, label_selector=PART_OF).items, "list Leases in all namespaces", is_everywhere=True
        ),
    )


def _format_unread(unread: list[tuple[_LeaseQuery, ApiError]]) -> str:
    if not unread:
        return ""
    query, error = unread[0]
    return f"you may not {query.what}" if isinstance(error, Forbidden) else f"{query.what}: {error}"


def _read_opener(api: ApiClient, lease: Lease) -> GateOpener | None:
    """Return None if the Lease is not a gate opener's, but a claim of a disruption budget, say.

    A Lease without a holder is that of an opener that was stopped: it is not alive, and has not died.
    """
    meta, spec = lease.metadata, lease.spec
    announcement = decode_announcement(meta.annotation(GATES_ANNOTATION))
    component = meta.label(COMPONENT)
    if announcement is None and component != CONTROLLER:
        return None
    what = "inplace gate run" if component == GATE_RUN else "controller"
    holder, where = spec.holder_identity, f"Lease {meta.namespace}/{meta.name}"
    if not holder:
        return GateOpener(f"{what} ({where})", announcement, None, is_alive=False)
    age = seconds_since(spec.renew_time or "", api.clock.utcnow())
    is_alive = age is not None and age < LEASE_DURATION_SECONDS
    return GateOpener(f"{what} {holder} ({where})", announcement, age, is_alive=is_alive)
