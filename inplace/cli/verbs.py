"""`inplace pause` and `inplace resume`: ask the run's holder, or, where that is dead, take the lock and do it here.

A request is an annotation on the Lease, which a living holder obeys and removes. Whether it lives is told by its Lease changing
within 15 s, never by the age of a timestamp.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Literal

import click
import msgspec

from inplace.cli import out
from inplace.cli.driving import Showing, drive
from inplace.cli.exits import Code, Ended
from inplace.cli.options import POSITIVE_DURATION, connected, output_option, selector_option, understood
from inplace.cli.targets import parse_target
from inplace.cli.world import Cluster
from inplace.kube.errors import NotFound
from inplace.kube.resources import LEASES
from inplace.kube.seam import MERGE
from inplace.model.names import REQUEST, TargetRef
from inplace.model.policy import Lease
from inplace.model.run import Run, lease_name
from inplace.runtime.lock import LEASE_SECONDS, request_of, run_of
from inplace.runtime.session import Refused

Verb = Literal["pause", "resume"]
LOOK_SECONDS = 0.5


@click.command()
@click.argument("words", nargs=-1, metavar="TARGET")
@selector_option
@click.option("-q", "--quiet", is_flag=True, help="No progress, only warnings and the result.")
@connected
def pause(connect: Callable[[], Cluster], words: tuple[str, ...], selector: str, quiet: bool) -> int:
    """Let a run finish its pods in flight, and start no more.

    Waits until the run says that it is paused. Where its holder has died, the pods in flight are finished here.
    """
    cluster, target = _opened(connect, words, selector)
    asked = _ask(cluster, target, "pause")
    if asked is not None:
        return asked
    how = Showing(is_json=False, is_quiet=quiet, timeout_seconds=None, again=cluster.command("pause", target))
    code = drive(cluster, target, lambda session, told: session.pause(told), how)
    return Code.DONE if code == Code.STOPPED else code


@click.command()
@click.argument("words", nargs=-1, metavar="TARGET")
@selector_option
@click.option("--timeout", type=POSITIVE_DURATION, help="Acts as one Ctrl-C; exit code 3.")
@output_option("json")
@click.option("-q", "--quiet", is_flag=True, help="No progress, only warnings and the result.")
@connected
def resume(
    connect: Callable[[], Cluster],
    words: tuple[str, ...],
    selector: str,
    timeout: float | None,
    output: str | None,
    quiet: bool,
) -> int:
    """Go on with a paused or broken-off run, past the pause at which it stands.

    A living holder is asked to go on (past a pause with a time, say); else the run is driven here, as `upgrade` would.

    Exit codes: as for `upgrade`; 5 where there is no run.
    """
    cluster, target = _opened(connect, words, selector)
    asked = _ask(cluster, target, "resume")
    if asked is not None:
        return asked
    how = Showing(output == "json", quiet, timeout, again=cluster.command("resume", target))
    return drive(cluster, target, lambda session, told: session.resume(told), how)


def _opened(connect: Callable[[], Cluster], words: tuple[str, ...], selector: str) -> tuple[Cluster, TargetRef]:
    target = understood(parse_target, words, selector)
    cluster = connect()
    return cluster, msgspec.structs.replace(target, namespace=cluster.namespace)


def _ask(cluster: Cluster, target: TargetRef, verb: Verb) -> Code | None:
    """Asks the holder. None: there is none, so act here."""
    lease = _lease(cluster, target)
    run = _run(lease)
    if lease is None or run is None or (not run.is_open and not lease.spec.holder_identity):
        raise Refused(f"{target} in {target.namespace} has no run to {verb}")
    if not lease.spec.holder_identity:
        return None
    body = {"metadata": {"annotations": {REQUEST: verb}}}
    with suppress(NotFound):
        lease = cluster.api.patch(LEASES, target.namespace, lease_name(target), body, MERGE)
    out.note(f"asked {lease.spec.holder_identity} to {verb} {target}")
    return _wait(cluster, target, verb, lease)


def _wait(cluster: Cluster, target: TargetRef, verb: Verb, lease: Lease) -> Code | None:
    """Until the holder has done it; None if it turns out to be dead."""
    clock, first = cluster.api.clock, lease
    changed_at = clock.monotonic()
    while True:
        clock.sleep(LOOK_SECONDS)
        now = _lease(cluster, target)
        run = _run(now)
        if now is None or not now.spec.holder_identity or run is None:
            return _ended(run, target, verb)
        if verb == "resume" and not request_of(now):
            out.data(f"{target} goes on, driven by {now.spec.holder_identity}")
            return Code.DONE
        if (now.spec.holder_identity, now.spec.renew_time) != (first.spec.holder_identity, first.spec.renew_time):
            first, changed_at = now, clock.monotonic()
        elif clock.monotonic() - changed_at >= LEASE_SECONDS:
            out.note(f"{now.spec.holder_identity} does not answer: it seems dead")
            return None


def _ended(run: Run | None, target: TargetRef, verb: Verb) -> Code | None:
    """What has become of a run whose holder let go while we waited."""
    outcome = run.outcome if run is not None else "Succeeded"
    if outcome == "Paused" and verb == "pause":
        out.data(f"{target} is paused")
        return Code.DONE
    if outcome == "Succeeded":
        out.data(f"{target} is done: its run has succeeded")
        return Code.DONE
    if verb == "pause":
        raise Ended(f"{target} was not paused, its run has ended: {run.message if run else outcome}", Code.FAILED)
    return None


def _lease(cluster: Cluster, target: TargetRef) -> Lease | None:
    try:
        return cluster.api.get(LEASES, target.namespace, lease_name(target))
    except NotFound:
        return None


def _run(lease: Lease | None) -> Run | None:
    try:
        return run_of(lease)
    except ValueError as error:
        raise Refused(str(error)) from None
