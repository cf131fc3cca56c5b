"""Finds who opens gates, by the Leases that they renew: at most three reads, and none more once somebody living is found.

Whether a holder lives is told by the age of its last renewal on this machine's clock, which is a hint and decides nothing.
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
"""The label of the Leases by which somebody works for others, as a selector."""
COMPONENT = "app.kubernetes.io/component"
GATE_RUN, CONTROLLER = "gate", "controller"
"""What that label says of `inplace gate run`, and of a controller, which before had nothing else to say there."""


def with_openers(api: ApiClient, observed: Snapshot, target: TargetRef, gate: str) -> Snapshot:
    """The same, with who opens that gate on the target's new pods, as far as that may be read. Never raises `ApiError`."""
    if not has_gate(observed, gate):
        return observed
    found: tuple[GateOpener, ...] = ()
    unread = []
    for look in _looks(api, target.namespace):
        try:
            leases = look.read()
        except NotFound:
            continue
        except ApiError as error:
            unread.append((look, error))
            continue
        known = {one.name for one in found}
        found += tuple(one for lease in leases if (one := _opener(api, lease)) is not None and one.name not in known)
        unread = [] if look.is_everywhere else unread
        now = msgspec.structs.replace(observed, gate_openers=GateOpeners(found, _told(unread)))
        if isinstance(gate_opening(now, gate, target.namespace), OpenedBy):
            return now
    return msgspec.structs.replace(observed, gate_openers=GateOpeners(found, _told(unread)))


class _Look(msgspec.Struct, frozen=True):
    read: Callable[[], Iterable[Lease]]
    what: str
    is_everywhere: bool = False


def _looks(api: ApiClient, namespace: str) -> tuple[_Look, ...]:
    """In the namespace; where a controller for the whole cluster is, which everybody may read; and wherever else."""
    return (
        _Look(lambda: api.list(LEASES, namespace, label_selector=PART_OF).items, f"list Leases in namespace {namespace}"),
        _Look(
            lambda: (api.get(LEASES, SYSTEM_NAMESPACE, LEASE_NAME),),
            f"get Lease {LEASE_NAME} in namespace {SYSTEM_NAMESPACE}",
        ),
        _Look(
            lambda: api.list(LEASES, None, label_selector=PART_OF).items, "list Leases in all namespaces", is_everywhere=True
        ),
    )


def _told(unread: list[tuple[_Look, ApiError]]) -> str:
    if not unread:
        return ""
    look, error = unread[0]
    return f"you may not {look.what}" if isinstance(error, Forbidden) else f"{look.what}: {error}"


def _opener(api: ApiClient, lease: Lease) -> GateOpener | None:
    """None: of no opener, such as a claim of a budget. One that was stopped is no dead one: it let go."""
    meta, spec = lease.metadata, lease.spec
    says = decode_announcement(meta.annotation(GATES_ANNOTATION))
    component = meta.label(COMPONENT)
    if says is None and component != CONTROLLER:
        return None
    what = "inplace gate run" if component == GATE_RUN else "controller"
    holder, where = spec.holder_identity, f"Lease {meta.namespace}/{meta.name}"
    if not holder:
        return GateOpener(f"{what} ({where})", says, None, is_alive=False)
    age = seconds_since(spec.renew_time or "", api.clock.utcnow())
    return GateOpener(f"{what} {holder} ({where})", says, age, is_alive=age is not None and age < LEASE_DURATION_SECONDS)
