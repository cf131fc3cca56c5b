"""Completes names on the shell's command line: targets, containers, namespaces, contexts, revisions.

Silent and quick: an error completes to nothing, and so does whatever takes longer than `BUDGET_SECONDS` in all. At most `LIMIT`
names of each kind are listed, in one request without retries.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from inplace.cli.common.context import ClusterContext
    from inplace.kube.resources import Resource
    from inplace.model.refs import WorkloadKind

BUDGET_SECONDS = 0.9
LIMIT = 500
PROPOSED_KINDS: tuple[WorkloadKind, ...] = ("Deployment", "StatefulSet", "DaemonSet")
"""Kinds that are proposed before a kind is typed; ReplicaSets and pods mostly belong to another workload."""


def words(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Completes a target, as `deploy/web` or `deploy` and then `web`, and `app=` after it if the command takes images."""
    before: tuple[str, ...] = ctx.params.get(param.name or "") or ()
    wants_images, wants_rollouts = "CONTAINER" in (param.metavar or ""), "ipr" in (param.metavar or "")
    return _within_budget(lambda: _words(_cluster(ctx), before, incomplete, wants_images, wants_rollouts), incomplete)


def namespaces(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    from inplace.kube.resources import NAMESPACES

    return _within_budget(lambda: _list_names(_cluster(ctx), NAMESPACES, None), incomplete)


def contexts(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    from inplace.kube.connection.config import context_names

    return _within_budget(lambda: context_names(ctx.params.get("kubeconfig")), incomplete)


def revisions(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Completes a revision of the target, the newest first."""
    return _within_budget(lambda: map(str, sorted(_revisions(ctx), reverse=True)), incomplete)


def _within_budget(find: Callable[[], Iterable[str]], incomplete: str) -> list[str]:
    completions: list[str] = []

    def run() -> None:
        with suppress(Exception):  # a completion has no way to report an error
            completions.extend(name for name in find() if name.startswith(incomplete))

    thread = threading.Thread(target=run, name="completion", daemon=True)
    thread.start()
    thread.join(BUDGET_SECONDS)
    return list(completions)


def _words(
    cluster: ClusterContext, before: Sequence[str], incomplete: str, wants_images: bool, wants_rollouts: bool
) -> list[str]:
    from inplace.kube.resources import WORKLOADS
    from inplace.model.refs import SHORT_NAMES

    def list_names(word: str) -> list[str]:
        return _list_names(cluster, _resource(word, wants_rollouts), cluster.namespace)

    if not before and "/" in incomplete:
        kind = incomplete.partition("/")[0]
        return [f"{kind}/{name}" for name in list_names(kind)]
    if not before:
        return [
            f"{SHORT_NAMES[kind]}/{name}"
            for kind in PROPOSED_KINDS
            for name in _list_names(cluster, WORKLOADS[kind], cluster.namespace)
        ]
    if len(before) == 1 and "/" not in before[0]:
        return list_names(before[0])
    return [f"{name}=" for name in _containers(cluster, before)] if wants_images else []


def _resource(word: str, wants_rollouts: bool) -> Resource[Any]:
    """Raises ValueError."""
    from inplace.cli.common.targets import SUPPORTED, kind_of
    from inplace.kube.resources import INPLACE_ROLLOUTS

    is_rollout = wants_rollouts and INPLACE_ROLLOUTS.matches(word)
    return INPLACE_ROLLOUTS if is_rollout else dict(SUPPORTED)[kind_of(word)]


def _containers(cluster: ClusterContext, before: Sequence[str]) -> list[str]:
    """Lists the containers that have no image on the command line yet."""
    from inplace.cli.common.targets import parse_arguments
    from inplace.engine.workloads.templates import spec_of
    from inplace.kube.resources import PODS, WORKLOADS

    target, images = parse_arguments(before)
    if target.kind == "Pods":
        spec = cluster.api.get(PODS, cluster.namespace, target.pod_names[0]).spec
    else:
        spec = spec_of(cluster.api.get(WORKLOADS[target.kind], cluster.namespace, target.name).spec.template)
    return [container.name for container in spec.all_containers() if container.name not in images]


def _revisions(ctx: click.Context) -> list[int]:
    from inplace.cli.common.targets import parse_target
    from inplace.kube.resources import CONTROLLER_REVISIONS, REPLICA_SETS

    # click does not parse the words while the value of an option is being typed.
    target, cluster = parse_target(ctx.params["words"] or ctx.args), _cluster(ctx)
    resource: Resource[Any] = REPLICA_SETS if target.kind == "Deployment" else CONTROLLER_REVISIONS
    listed = cluster.api.list(resource, cluster.namespace, page=LIMIT).items
    owned = [(item, item.metadata.controller()) for item in listed]
    return [item.revision for item, owner in owned if owner and (owner.kind, owner.name) == (target.kind, target.name)]


def _list_names(cluster: ClusterContext, resource: Resource[Any], namespace: str | None) -> list[str]:
    """Lists names from metadata alone, and only the first page."""
    from inplace.kube.codec import decode_page
    from inplace.kube.protocols import Request
    from inplace.kube.resources import PartialObjectMetadata

    request = Request(method="GET", path=resource.path(namespace), query=(("limit", str(LIMIT)),))
    page = decode_page(cluster.api.raw(request).body, PartialObjectMetadata)
    return [item.metadata.name for item in page.items or ()]


def _cluster(ctx: click.Context) -> ClusterContext:
    """Opens the cluster that the flags typed so far name, with a short timeout and without retries."""
    import dataclasses

    from inplace.cli.common.connection import open_cluster
    from inplace.kube.retry import NO_RETRY

    cluster = open_cluster(ctx, dict(ctx.params))
    api = cluster.api.replace(limiter=None, policy=NO_RETRY, timeout_seconds=BUDGET_SECONDS)
    return dataclasses.replace(cluster, api=api)
