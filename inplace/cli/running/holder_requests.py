"""Sends a command to the holder of a run, and waits for its effect.

A request is an annotation on the Lease, which a living holder obeys and removes. A holder is alive if its Lease changes within
15 s, whatever its timestamps say. A controller releases the Lease of its own run that failed: the request is then the same
annotation on the InPlaceRollout, and the controller takes the Lease again.
"""

from __future__ import annotations

from contextlib import suppress

import msgspec

from inplace.cli.common.context import ClusterContext
from inplace.cli.common.exit_codes import CommandExit, ExitCode
from inplace.cli.output import streams
from inplace.engine.runs.spec_paused import is_allowed_while_paused
from inplace.kube.errors import Forbidden, NotFound
from inplace.kube.protocols import MERGE
from inplace.kube.resources import INPLACE_ROLLOUTS, LEASES
from inplace.model.constants import HELD_BY_ANNOTATION, REQUEST_ANNOTATION, REQUESTED_BY_ANNOTATION
from inplace.model.objects.coordination import Lease
from inplace.model.refs import TargetRef
from inplace.model.rollout import InPlaceRollout
from inplace.model.run import Run, RunCommand, lease_name
from inplace.runtime.errors import RefusedError
from inplace.runtime.foreground.spec_paused import find_rollout, require_not_paused
from inplace.runtime.lease.lock import LEASE_DURATION_SECONDS, read_heartbeat, run_from_lease
from inplace.runtime.lookup import resolve_target
from inplace.runtime.requests import NO_REQUEST, read_request

LOOK_SECONDS = 0.5


class HolderGone(msgspec.Struct, frozen=True):
    """The run has no holder, or none that answers: the command acts here."""

    run: Run | None


class Released(msgspec.Struct, frozen=True):
    """The holder has released the run while we waited. `run` is None if it deleted the Lease, as it does when a run of bare
    pods ends; `last` is the run as last seen before its release."""

    run: Run | None
    last: Run


class Acknowledged(msgspec.Struct, frozen=True):
    """The holder has obeyed the request and goes on."""

    holder: str


HolderResponse = HolderGone | Released | Acknowledged


def describe_end(run: Run | None) -> str:
    return (run.message or run.outcome or "no message") if run is not None else "its Lease is gone"


def stored_run(cluster: ClusterContext, target: TargetRef) -> tuple[Lease | None, Run | None]:
    """Reads the target's Lease and the run in it. Raises `RefusedError` if it cannot be decoded."""
    try:
        lease = cluster.api.get(LEASES, target.namespace, lease_name(target))
    except NotFound:
        return None, None
    try:
        return lease, run_from_lease(lease)
    except ValueError as error:
        raise RefusedError(str(error)) from None


def open_run(cluster: ClusterContext, target: TargetRef, verb: RunCommand) -> tuple[Lease, Run]:
    """Reads the target's Lease and its unfinished run. Raises `RefusedError` if there is none."""
    lease, run = stored_run(cluster, target)
    if lease is None:
        resolve_target(cluster.api, target)  # raises if there is no such target or namespace
    if lease is None or run is None or (not run.is_unfinished and not lease.spec.holder_identity):
        hint = ": to go back use `inplace undo`" if verb == "abort" and run is not None and run.outcome == "Succeeded" else ""
        raise RefusedError(f"{target} in {target.namespace} has no run to {verb}{hint}")
    return lease, run


def send_command(cluster: ClusterContext, target: TargetRef, verb: RunCommand, *, until_it_ends: bool) -> HolderResponse:
    """Sends `verb` to the run's holder and waits, until the run ends or only until the holder obeys. Raises `RefusedError`."""
    lease, run = open_run(cluster, target, verb)
    if not is_allowed_while_paused(verb):
        require_not_paused(cluster.api, target, run)
    if not lease.spec.holder_identity:
        rollout = find_rollout(cluster.api, target, run) if verb != "pause" else None
        if rollout is None or not _put_request(cluster, rollout, verb):
            return HolderGone(run)
        return _request_via_rollout(cluster, target, run, verb, rollout, until_it_ends=until_it_ends)
    if read_request(lease) == "abort" and verb != "abort":
        where = f"{target} in {target.namespace}"
        raise RefusedError(f"{where} has already been asked to abort, which takes precedence over {verb}")
    with suppress(NotFound):
        body = {"metadata": {"annotations": _request_annotations(cluster, verb)}}
        lease = cluster.api.patch(LEASES, target.namespace, lease_name(target), body, MERGE)
    holder = lease.spec.holder_identity
    by = lease.metadata.annotation(HELD_BY_ANNOTATION)
    streams.note(f"asked {f'{by}, as {holder},' if by else holder} to {verb} {target}")
    try:
        return _await_answer(cluster, target, lease, run, until_it_ends=until_it_ends)
    except KeyboardInterrupt:
        raise CommandExit(f"interrupted; {holder} will still {verb} {target}", ExitCode.INTERRUPTED) from None


def _request_via_rollout(
    cluster: ClusterContext, target: TargetRef, run: Run, verb: RunCommand, rollout: InPlaceRollout, *, until_it_ends: bool
) -> HolderResponse:
    """Waits until the controller has taken up a run that it had released."""
    name, clock = f"inplacerollout/{rollout.metadata.name}", cluster.api.clock
    streams.note(f"asked {name} to {verb}")
    ends_at = clock.monotonic() + LEASE_DURATION_SECONDS
    try:
        while clock.monotonic() < ends_at:
            clock.sleep(LOOK_SECONDS)
            lease, current = stored_run(cluster, target)
            if lease is not None and current is not None and lease.spec.holder_identity:
                return _await_answer(cluster, target, lease, current, until_it_ends=until_it_ends)
            if current is None or (current.outcome, current.ended_at) != (run.outcome, run.ended_at):
                return Released(current, run) if until_it_ends else Acknowledged(name)  # the run has already ended again
    except KeyboardInterrupt:
        raise CommandExit(f"interrupted; {name} will still {verb}", ExitCode.INTERRUPTED) from None
    _put_request(cluster, rollout, None)
    streams.note(f"no controller answers for {name}")
    return HolderGone(run)


def _put_request(cluster: ClusterContext, rollout: InPlaceRollout, verb: RunCommand | None) -> bool:
    """Sets the request, or removes it if `verb` is None. Returns False if we may not patch the rollout, or it is gone."""
    meta, body = rollout.metadata, {"metadata": {"annotations": _request_annotations(cluster, verb) if verb else NO_REQUEST}}
    try:
        cluster.api.patch(INPLACE_ROLLOUTS, meta.namespace, meta.name, body, MERGE)
    except (NotFound, Forbidden):
        return False
    return True


def _request_annotations(cluster: ClusterContext, verb: RunCommand) -> dict[str, str]:
    return {REQUEST_ANNOTATION: verb, REQUESTED_BY_ANNOTATION: cluster.caller.text}


def _await_answer(cluster: ClusterContext, target: TargetRef, lease: Lease, run: Run, *, until_it_ends: bool) -> HolderResponse:
    """Waits for the holder's answer. Raises `CommandExit` if it does not obey."""
    clock, last, heartbeat = cluster.api.clock, run, read_heartbeat(cluster.api, lease)
    changed_at = clock.monotonic()
    while True:
        clock.sleep(LOOK_SECONDS)
        current_lease, current = stored_run(cluster, target)
        if current_lease is None or current is None or not current_lease.spec.holder_identity:
            return Released(current, last)
        last = current
        request, holder = read_request(current_lease), current_lease.spec.holder_identity
        if not until_it_ends and request is None and _is_still_paused(current, run):
            raise CommandExit(
                f"{target} was asked to go on and is still paused: {current.message or 'see its InPlaceRollout'}",
                ExitCode.STOPPED,
            )
        if not until_it_ends and request is None:
            return Acknowledged(holder)
        if not until_it_ends and request == "abort":
            raise CommandExit(f"{target} was meanwhile asked to abort, which takes precedence", ExitCode.STOPPED)
        if until_it_ends and request is None and current.outcome is not None:
            return Released(current, last)  # a controller keeps the Lease of a run that it has paused
        latest = read_heartbeat(cluster.api, current_lease)
        if latest != heartbeat:
            heartbeat, changed_at = latest, clock.monotonic()
        elif clock.monotonic() - changed_at >= LEASE_DURATION_SECONDS:
            streams.note(f"{holder} does not answer and seems dead")
            return HolderGone(current)


def _is_still_paused(current: Run, before: Run) -> bool:
    """True if the controller has removed the request, but may not obey it: the run is paused as it was before."""
    return (current.outcome, before.outcome) == ("Paused", "Paused") and current.ended_at == before.ended_at
