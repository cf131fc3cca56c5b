"""`inplace install` and `uninstall`: apply and remove the packaged manifests: the controller, its RBAC and its CRD."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import click

from inplace.cli.common.connection import connection_options, is_on_command_line, note_namespace
from inplace.cli.common.context import ClusterContext
from inplace.cli.common.exit_codes import CommandExit, ExitCode
from inplace.cli.common.options import ParsedType
from inplace.cli.common.sections import command, option
from inplace.cli.common.targets import checked_image
from inplace.cli.output import streams
from inplace.kube.errors import ApiError
from inplace.runtime.errors import RefusedError
from inplace.runtime.install import apply, remove
from inplace.runtime.lookup import crd_installed, require_namespace
from inplace.runtime.manifests import CONTROLLER, CRDS, SYSTEM_NAMESPACE, Manifest, definitions, manifests, with_image

T = TypeVar("T")
MAX_LISTED = 20
CHANGES = {"kept": "left as it is"}

DRY_RUN = option(
    "--dry-run",
    type=click.Choice(("none", "client", "server")),
    default="none",
    help="client: only list the objects. server: send every write as a server dry run (default: none).",
)
NAMESPACE_ONLY = option("--namespace-only", is_flag=True, help="For one namespace (-n), without the cluster-wide objects.")


@command()
@DRY_RUN
@NAMESPACE_ONLY
@option("--crds-only", is_flag=True, help="Install only the InPlaceRollout CRD, which --namespace-only requires.")
@option(
    "--image",
    metavar="REF",
    type=ParsedType("image", checked_image),
    help="Image of the controller (default: inplace:VERSION).",
)
@connection_options
def install(
    connect: Callable[[], ClusterContext], dry_run: str, namespace_only: bool, crds_only: bool, image: str | None
) -> int:
    """Install the controller on a cluster.

    The controller runs in namespace inplace-system and serves all namespaces, or, with --namespace-only, runs in one namespace
    and serves that. Uses server-side apply of the packaged manifests, so the same command also updates an installation.

    \b
      inplace install --image registry.example/inplace:0.1.0
      inplace install --crds-only                    # once per cluster, as a cluster admin
      inplace install --namespace-only -n shop       # then, as an admin of that namespace

    Exit codes: 0 done, 1 failed halfway, 2 usage, 5 refused.
    """
    if namespace_only and crds_only:
        raise click.UsageError("--namespace-only and --crds-only cannot be combined")
    _check_namespace(namespace_only)
    cluster = _connect(connect, dry_run, namespace_only)
    if cluster is not None and namespace_only:
        note_namespace(cluster, "using")
    objects = definitions() if crds_only else manifests(cluster.namespace if cluster and namespace_only else None)
    if image:
        objects = with_image(objects, image)
    if cluster is None or dry_run == "client":
        streams.lines(f"{_where(manifest)} would be applied" for manifest in objects)
        return ExitCode.DONE
    if namespace_only:
        require_namespace(cluster.api, cluster.namespace)
    apply.check(cluster.api, objects)
    if namespace_only and not crd_installed(cluster.api):
        hint = cluster.context.command("install", "--crds-only")
        raise RefusedError(f"the InPlaceRollout CRD is not installed: a cluster admin must run `{hint}` once")
    is_dry = dry_run == "server"
    for applied in _report_partial(apply.apply(cluster.api, objects, dry_run=is_dry), is_dry, "the same command continues"):
        streams.data(f"{_where(applied.manifest)} {CHANGES.get(applied.change, applied.change)}{_suffix(is_dry)}")
    if not crds_only and not is_dry:
        namespace = cluster.namespace if namespace_only else SYSTEM_NAMESPACE
        streams.note(f"see it start: kubectl rollout status -n {namespace} deployment/{CONTROLLER}")
    return ExitCode.DONE


@command()
@DRY_RUN
@NAMESPACE_ONLY
@option("--crds", is_flag=True, help="Also remove the InPlaceRollout CRD; refused while there are InPlaceRollouts.")
@connection_options
def uninstall(connect: Callable[[], ClusterContext], dry_run: str, namespace_only: bool, crds: bool) -> int:
    """Remove the controller from a cluster.

    Refused while a run is going on. Lists the workloads whose templates have the gate, since nothing opens it on new pods
    afterwards. InPlaceRollouts, Leases and pods are left as they are.

    Exit codes: 0 done, 1 failed halfway, 2 usage, 5 refused.
    """
    if namespace_only and crds:
        raise click.UsageError("--namespace-only and --crds cannot be combined: the CRD is cluster-wide")
    _check_namespace(namespace_only)
    cluster = _connect(connect, dry_run, namespace_only)
    if cluster is not None and namespace_only:
        note_namespace(cluster, "using")
    scope = cluster.namespace if cluster and namespace_only else None
    objects = [manifest for manifest in manifests(scope) if crds or manifest.resource is not CRDS]
    if cluster is None or dry_run == "client":
        streams.lines(f"{_where(manifest)} would be deleted" for manifest in reversed(objects))
        return ExitCode.DONE
    home = scope or SYSTEM_NAMESPACE
    remove.check(cluster.api, objects, scope, home)
    _refuse_live(cluster, scope, home)
    if crds and (count := remove.rollouts_left(cluster.api)):
        are = f"there is {count} InPlaceRollout" if count == 1 else f"there are {count} InPlaceRollouts"
        raise RefusedError(f"{are}, which would be deleted with the CRD: delete them first, or leave out --crds")
    _warn_of_gates(remove.gated(cluster.api, scope, remove.managed_gates(cluster.api, objects)), cluster)
    is_dry = dry_run == "server"
    for removed in _report_partial(remove.remove(cluster.api, objects, dry_run=is_dry), is_dry, "the same command continues"):
        results = {"deleted": "deleted", "absent": "not found", "left": "left as it is: it does not have our label"}
        streams.data(f"{_where(removed.manifest)} {results[removed.removal]}{_suffix(is_dry)}")
    if is_dry:
        return ExitCode.DONE
    remove.delete_leader_lease(cluster.api, home)
    if count := remove.remove_finalizers(cluster.api, scope):
        stay = "InPlaceRollouts stay" if count > 1 else "InPlaceRollout stays"
        streams.note(f"{count} {stay} as a record, and can be deleted at any time")
    return ExitCode.DONE


def _connect(connect: Callable[[], ClusterContext], dry_run: str, namespace_only: bool) -> ClusterContext | None:
    """Returns None if no cluster is needed: a client dry run takes at most the namespace from the kubeconfig."""
    return connect() if namespace_only or dry_run != "client" else None


def _check_namespace(namespace_only: bool) -> None:
    if is_on_command_line("namespace") and not namespace_only:
        raise click.UsageError(f"without --namespace-only, the controller runs in {SYSTEM_NAMESPACE}: leave out -n")


def _report_partial(steps: Iterator[T], is_dry: bool, hint: str) -> Iterator[T]:
    """Passes the steps on. Raises `CommandExit` for an error after the first write, since the work is then half done."""
    has_begun = False
    try:
        for step in steps:
            has_begun = True
            yield step
    except ApiError as error:
        if has_begun and not is_dry:
            raise CommandExit(f"{error}; the changes listed above are done; {hint}", ExitCode.FAILED) from None
        raise


def _refuse_live(cluster: ClusterContext, scope: str | None, home: str) -> None:
    live = remove.live_runs(cluster.api, scope, home)
    if live:
        one = live[0]
        abort = f"`{cluster.context.command('abort', *one.what.split(), '-n', one.namespace)}`"
        raise RefusedError(
            f"{_some(live)}: nothing would drive these runs any more. Wait until they end, or roll back with {abort}"
        )


def _warn_of_gates(gated: Sequence[remove.GatedWorkload], cluster: ClusterContext) -> None:
    for workload in gated[:MAX_LISTED]:
        streams.note(f"warning: the template of {workload.what} in {workload.namespace} carries the gate {workload.gate}")
    if len(gated) > MAX_LISTED:
        streams.note(f"warning: so do {len(gated) - MAX_LISTED} more")
    if gated:
        run = cluster.context.command("gate", "run")
        streams.note(
            "warning: pods in service stay in service; each new pod (after a scale-up, an eviction, a rollout) stays out of "
            f"service until its gate is opened: remove the gate from the templates, or keep `{run}` running"
        )


def _some(items: Iterable[object]) -> str:
    texts = [str(item) for item in items]
    return ", ".join(texts[:MAX_LISTED]) + (f" and {len(texts) - MAX_LISTED} more" if len(texts) > MAX_LISTED else "")


def _where(manifest: Manifest) -> str:
    return f"{manifest} in {manifest.namespace}" if manifest.namespace else str(manifest)


def _suffix(is_dry: bool) -> str:
    return " (server dry run)" if is_dry else ""
