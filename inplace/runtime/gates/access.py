"""What a gate controller needs before it starts: permissions, and the Lease by which others see which gates it opens."""

from __future__ import annotations

import hashlib

from inplace.engine.gate_openers import Announcement, encode_announcement
from inplace.engine.gate_rules import GateRule
from inplace.kube.api import ApiClient
from inplace.kube.paging import ListOptions
from inplace.kube.protocols import Request
from inplace.kube.resources import LEASES, PODS
from inplace.model.constants import DEFAULT_GATE
from inplace.runtime.errors import RefusedError
from inplace.runtime.gates.openers import GATE_RUN
from inplace.runtime.lease.leader_election import LeaderElector
from inplace.runtime.lookup import require_namespace
from inplace.runtime.permissions import Permission, format_permissions, missing_permissions, refusal, version_problem
from inplace.runtime.threads import SYSTEM_THREADS, Threads

PERMISSIONS = (Permission("list", "", "pods"), Permission("watch", "", "pods"), Permission("patch", "", "pods", "status"))


def check_access(api: ApiClient, scope: ListOptions) -> None:
    """Check that the gates in `scope` could be kept. Only reads. Raises `RefusedError` or `ApiError`."""
    problem = version_problem(api)
    if problem is not None:
        raise RefusedError(problem)
    missing = missing_permissions(api.replace(limiter=None), scope.namespace or "", PERMISSIONS)
    if missing:
        raise refusal(missing, scope.namespace)
    if scope.namespace:
        require_namespace(api, scope.namespace)
    api.raw(Request(method="GET", path=PODS.path(scope.namespace), query=(*scope.query(), ("limit", "1"))))


def leader_for(
    api: ApiClient, rule: GateRule, scope: ListOptions, home: str, identity: str, threads: Threads = SYSTEM_THREADS
) -> LeaderElector:
    """Return the elector whose Lease, in namespace `home`, announces which gates are opened here.

    Of several processes with one Lease name one works: they keep the same gate of the same pods, and a gate follows one label.
    """
    announcement = Announcement((rule,), (scope.namespace,) if scope.namespace else (), scope.label_selector)
    return LeaderElector(
        api.replace(limiter=None),
        home,
        lease_name(rule.condition, scope),
        identity,
        gates=encode_announcement(announcement),
        component=GATE_RUN,
        rejoins=True,
        threads=threads,
    )


def lease_name(condition: str, scope: ListOptions) -> str:
    """Return `inplace-gate` for the default gate of all pods of a namespace, so that a Role can name it; else a unique name."""
    if condition == DEFAULT_GATE and scope.namespace and not scope.label_selector:
        return "inplace-gate"
    readable = "".join(c if c.isalnum() or c in ".-" else "-" for c in condition.lower())
    identity = f"{condition} {scope.namespace is None} {scope.label_selector}"
    return f"inplace-gate-{readable[:200]}-{hashlib.sha256(identity.encode()).hexdigest()[:8]}"


def missing_lease_permissions(api: ApiClient, leader: LeaderElector) -> str:
    """Return the permissions missing to hold the Lease, in words; empty if none is. Raises `ApiError`."""
    namespace, name = leader.lease_ref
    return format_permissions(missing_permissions(api.replace(limiter=None), namespace, lease_permissions(name)))


def lease_permissions(name: str) -> tuple[Permission, ...]:
    """Return the permissions on that Lease; RBAC cannot bind `create` to a name."""
    named = tuple(Permission(verb, LEASES.group, LEASES.plural, name=name) for verb in ("get", "patch"))
    return (*named, Permission("create", LEASES.group, LEASES.plural))
