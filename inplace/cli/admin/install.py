"""`inplace install` and `uninstall`: the controller, its rights and its definitions, from the manifests packaged with us."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import click

from inplace.cli.common.context import ClusterContext
from inplace.cli.common.exit_codes import CommandExit, ExitCode
from inplace.cli.common.options import ParsedType, connection_options, is_given, tell_namespace
from inplace.cli.common.targets import checked_image
from inplace.cli.output import streams
from inplace.kube.errors import ApiError
from inplace.runtime.errors import RefusedError
from inplace.runtime.install import apply as installing
from inplace.runtime.install import remove as removing
from inplace.runtime.lookup import crd_installed, require_namespace
from inplace.runtime.manifests import CONTROLLER, CRDS, SYSTEM_NAMESPACE, Manifest, definitions, manifests, with_image

T = TypeVar("T")
MOST = 20
CHANGES = {"kept": "left as it is"}

DRY_RUN = click.option(
    "--dry-run",
    type=click.Choice(("none", "client", "server")),
    default="none",
    help="client: only list the objects; server: send everything as a server dry run (none).",
)
NAMESPACE_ONLY = click.option("--namespace-only", is_flag=True, help="For one namespace (-n), with nothing cluster-wide.")


@click.command()
@DRY_RUN
@NAMESPACE_ONLY
@click.option("--crds-only", is_flag=True, help="Only the definition of InPlaceRollout, which --namespace-only needs.")
@click.option(
    "--image", metavar="REF", type=ParsedType("image", checked_image), help="The controller's image (inplace:VERSION)."
)
@connection_options
def install(
    connect: Callable[[], ClusterContext], dry_run: str, namespace_only: bool, crds_only: bool, image: str | None
) -> int:
    """Install the controller on a cluster.

    For all namespaces, in the namespace inplace-system; or for one. By server-side apply of the packaged manifests: the same
    command again brings what differs up to date.

    \b
      inplace install --image registry.example/inplace:0.1.0
      inplace install --crds-only                    # once per cluster, by whoever may
      inplace install --namespace-only -n shop       # then by whoever may in that namespace

    Exit codes: 0 done, 1 broke off in the middle, 2 usage, 5 refused.
    """
    if namespace_only and crds_only:
        raise click.UsageError("--namespace-only and --crds-only cannot be combined")
    _check_namespace(namespace_only)
    cluster = _reached(connect, dry_run, namespace_only)
    if cluster is not None and namespace_only:
        tell_namespace(cluster, "this is about")
    found = definitions() if crds_only else manifests(cluster.namespace if cluster and namespace_only else None)
    if image:
        found = with_image(found, image)
    if cluster is None or dry_run == "client":
        streams.lines(f"{_where(manifest)} would be applied" for manifest in found)
        return ExitCode.DONE
    if namespace_only:
        require_namespace(cluster.api, cluster.namespace)
    installing.check(cluster.api, found)
    if namespace_only and not crd_installed(cluster.api):
        hint = cluster.world.command("install", "--crds-only")
        raise RefusedError(
            f"the definition of InPlaceRollout is not there: somebody who administers the cluster says `{hint}` once"
        )
    is_dry = dry_run == "server"
    for applied in _until_it_breaks(installing.apply(cluster.api, found, dry_run=is_dry), is_dry, "the same command goes on"):
        streams.data(f"{_where(applied.manifest)} {CHANGES.get(applied.change, applied.change)}{_suffix(is_dry)}")
    if not crds_only and not is_dry:
        namespace = cluster.namespace if namespace_only else SYSTEM_NAMESPACE
        streams.note(f"see it start: kubectl rollout status -n {namespace} deployment/{CONTROLLER}")
    return ExitCode.DONE


@click.command()
@DRY_RUN
@NAMESPACE_ONLY
@click.option("--crds", is_flag=True, help="Also the definition of InPlaceRollout; refused while there is one.")
@connection_options
def uninstall(connect: Callable[[], ClusterContext], dry_run: str, namespace_only: bool, crds: bool) -> int:
    """Remove the controller from a cluster.

    Refused while a run is live. Names the workloads whose templates carry the gate, since nobody opens it on new pods then.
    Rollouts, their Leases and the pods are left as they are.

    Exit codes: 0 done, 1 broke off in the middle, 2 usage, 5 refused.
    """
    if namespace_only and crds:
        raise click.UsageError("--namespace-only and --crds cannot be combined: the definition is the whole cluster's")
    _check_namespace(namespace_only)
    cluster = _reached(connect, dry_run, namespace_only)
    if cluster is not None and namespace_only:
        tell_namespace(cluster, "this is about")
    scope = cluster.namespace if cluster and namespace_only else None
    found = [manifest for manifest in manifests(scope) if crds or manifest.resource is not CRDS]
    if cluster is None or dry_run == "client":
        streams.lines(f"{_where(manifest)} would be deleted" for manifest in reversed(found))
        return ExitCode.DONE
    home = scope or SYSTEM_NAMESPACE
    removing.check(cluster.api, found, scope, home)
    _refuse_live(cluster, scope, home)
    if crds and (count := removing.rollouts_left(cluster.api)):
        are = f"there is {count} InPlaceRollout" if count == 1 else f"there are {count} InPlaceRollouts"
        raise RefusedError(f"{are}, which would go with the definition: delete them first, or leave out --crds")
    _warn_of_gates(removing.gated(cluster.api, scope, removing.managed_gates(cluster.api, found)), cluster)
    is_dry = dry_run == "server"
    for removed in _until_it_breaks(removing.remove(cluster.api, found, dry_run=is_dry), is_dry, "the same command goes on"):
        told = {"deleted": "deleted", "absent": "not there", "left": "left as it is: it does not carry our label"}
        streams.data(f"{_where(removed.manifest)} {told[removed.removal]}{_suffix(is_dry)}")
    if is_dry:
        return ExitCode.DONE
    removing.delete_leader_lease(cluster.api, home)
    if count := removing.remove_finalizers(cluster.api, scope):
        stay = "InPlaceRollouts stay" if count > 1 else "InPlaceRollout stays"
        streams.note(f"{count} {stay}, as a record, and can be deleted at any time")
    return ExitCode.DONE


def _reached(connect: Callable[[], ClusterContext], dry_run: str, namespace_only: bool) -> ClusterContext | None:
    """None where no cluster is needed: only a namespace is ever taken from the kubeconfig in a client's dry run."""
    return connect() if namespace_only or dry_run != "client" else None


def _check_namespace(namespace_only: bool) -> None:
    if is_given("namespace") and not namespace_only:
        raise click.UsageError(f"for all namespaces it lives in {SYSTEM_NAMESPACE}; -n is for --namespace-only")


def _until_it_breaks(steps: Iterator[T], is_dry: bool, hint: str) -> Iterator[T]:
    """What was refused before the first write is a refusal; afterwards something is half done."""
    has_begun = False
    try:
        for step in steps:
            has_begun = True
            yield step
    except ApiError as error:
        if has_begun and not is_dry:
            raise CommandExit(f"{error}; what is listed above is done, and {hint}", ExitCode.FAILED) from None
        raise


def _refuse_live(cluster: ClusterContext, scope: str | None, home: str) -> None:
    live = removing.live_runs(cluster.api, scope, home)
    if live:
        one = live[0]
        abort = f"`{cluster.world.command('abort', *one.what.split(), '-n', one.namespace)}`"
        raise RefusedError(f"{_some(live)}: a live run would lose who drives it. Let it end, or {abort} goes back")


def _warn_of_gates(found: Sequence[removing.GatedWorkload], cluster: ClusterContext) -> None:
    for one in found[:MOST]:
        streams.note(f"warning: the template of {one.what} in {one.namespace} carries the gate {one.gate}")
    if len(found) > MOST:
        streams.note(f"warning: and so do {len(found) - MOST} more")
    if found:
        run = cluster.world.command("gate", "run")
        streams.note(
            "warning: pods that serve go on serving; every new one (a scale-up, an eviction, a rollout) stays out of service "
            f"until somebody opens its gate: take the gate out of the templates, or keep `{run}` running"
        )


def _some(items: Iterable[object]) -> str:
    texts = [str(item) for item in items]
    return ", ".join(texts[:MOST]) + (f" and {len(texts) - MOST} more" if len(texts) > MOST else "")


def _where(manifest: Manifest) -> str:
    return f"{manifest} in {manifest.namespace}" if manifest.namespace else str(manifest)


def _suffix(is_dry: bool) -> str:
    return " (server dry run)" if is_dry else ""
