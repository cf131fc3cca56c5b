"""Asks the holder of a run for something, and waits for what becomes of it.

A request is an annotation on the Lease, which a living holder obeys and removes. Whether it lives is told by its Lease changing
within 15 s, never by the age of a timestamp. A controller has let go of a run of its own that failed: it is asked by the same
annotation on the InPlaceRollout, and takes the Lease again.
"""

from __future__ import annotations

from contextlib import suppress

import msgspec

from inplace.cli.common.context import ClusterContext
from inplace.cli.common.exit_codes import CommandExit, ExitCode
from inplace.cli.output import streams
from inplace.engine.runs.spec_paused import passes
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
    """Nobody holds it, or nobody that answers: act here."""

    run: Run | None


class Released(msgspec.Struct, frozen=True):
    """The holder has ended it while we waited; None: and removed its Lease, as is done for bare pods at the end. `last`: the
    run as it was last seen while it was held."""

    run: Run | None
    last: Run


class Acknowledged(msgspec.Struct, frozen=True):
    """The holder has taken the request in, and goes on."""

    holder: str


HolderResponse = HolderGone | Released | Acknowledged


def stored_run(cluster: ClusterContext, target: TargetRef) -> tuple[Lease | None, Run | None]:
    """Raises `Refused` where it cannot be read."""
    try:
        lease = cluster.api.get(LEASES, target.namespace, lease_name(target))
    except NotFound:
        return None, None
    try:
        return lease, run_from_lease(lease)
    except ValueError as error:
        raise RefusedError(str(error)) from None


def open_run(cluster: ClusterContext, target: TargetRef, verb: RunCommand) -> tuple[Lease, Run]:
    """Raises `Refused` where there is none."""
    lease, run = stored_run(cluster, target)
    if lease is None:
        resolve_target(cluster.api, target)  # says so where there is no such target, or no such namespace
    if lease is None or run is None or (not run.is_unfinished and not lease.spec.holder_identity):
        hint = ": to go back use `inplace undo`" if verb == "abort" and run is not None and run.outcome == "Succeeded" else ""
        raise RefusedError(f"{target} in {target.namespace} has no run to {verb}{hint}")
    return lease, run


def send_command(cluster: ClusterContext, target: TargetRef, verb: RunCommand, *, until_it_ends: bool) -> HolderResponse:
    """Raises `Refused` where there is no run."""
    lease, run = open_run(cluster, target, verb)
    if not passes(verb):
        require_not_paused(cluster.api, target, run)
    if not lease.spec.holder_identity:
        rollout = find_rollout(cluster.api, target, run) if verb != "pause" else None
        if rollout is None or not _put(cluster, rollout, verb):
            return HolderGone(run)
        return _ask_controller(cluster, target, run, verb, rollout, until_it_ends=until_it_ends)
    if read_request(lease) == "abort" and verb != "abort":
        raise RefusedError(f"{target} in {target.namespace} is asked to abort already, which comes before {verb}")
    with suppress(NotFound):
        body = {"metadata": {"annotations": _request(cluster, verb)}}
        lease = cluster.api.patch(LEASES, target.namespace, lease_name(target), body, MERGE)
    holder = lease.spec.holder_identity
    by = lease.metadata.annotation(HELD_BY_ANNOTATION)
    streams.note(f"asked {f'{by}, as {holder},' if by else holder} to {verb} {target}")
    try:
        return _answer(cluster, target, lease, run, until_it_ends=until_it_ends)
    except KeyboardInterrupt:
        raise CommandExit(f"interrupted; {holder} will still {verb} {target}", ExitCode.INTERRUPTED) from None


def _ask_controller(
    cluster: ClusterContext, target: TargetRef, run: Run, verb: RunCommand, rollout: InPlaceRollout, *, until_it_ends: bool
) -> HolderResponse:
    """Waits until it has taken up a run that it had let go of."""
    name, clock = f"inplacerollout/{rollout.metadata.name}", cluster.api.clock
    streams.note(f"asked {name} to {verb}")
    ends_at = clock.monotonic() + LEASE_DURATION_SECONDS
    try:
        while clock.monotonic() < ends_at:
            clock.sleep(LOOK_SECONDS)
            lease, found = stored_run(cluster, target)
            if lease is not None and found is not None and lease.spec.holder_identity:
                return _answer(cluster, target, lease, found, until_it_ends=until_it_ends)
            if found is None or (found.outcome, found.ended_at) != (run.outcome, run.ended_at):
                return Released(found, run) if until_it_ends else Acknowledged(name)  # it has ended again already
    except KeyboardInterrupt:
        raise CommandExit(f"interrupted; {name} will still {verb}", ExitCode.INTERRUPTED) from None
    _put(cluster, rollout, None)
    streams.note(f"no controller answers for {name}")
    return HolderGone(run)


def _put(cluster: ClusterContext, rollout: InPlaceRollout, verb: RunCommand | None) -> bool:
    """The request, or none any more. False: we may not, or it is gone."""
    meta, body = rollout.metadata, {"metadata": {"annotations": _request(cluster, verb) if verb else NO_REQUEST}}
    try:
        cluster.api.patch(INPLACE_ROLLOUTS, meta.namespace, meta.name, body, MERGE)
    except (NotFound, Forbidden):
        return False
    return True


def _request(cluster: ClusterContext, verb: RunCommand) -> dict[str, str]:
    return {REQUEST_ANNOTATION: verb, REQUESTED_BY_ANNOTATION: cluster.who.text}


def _answer(cluster: ClusterContext, target: TargetRef, lease: Lease, run: Run, *, until_it_ends: bool) -> HolderResponse:
    """Waits for it."""
    clock, last, pulse = cluster.api.clock, run, read_heartbeat(cluster.api, lease)
    changed_at = clock.monotonic()
    while True:
        clock.sleep(LOOK_SECONDS)
        now, found = stored_run(cluster, target)
        if now is None or found is None or not now.spec.holder_identity:
            return Released(found, last)
        last = found
        if not until_it_ends and read_request(now) is None and _stands(found, run):
            raise CommandExit(
                f"{target} was asked to go on and stands: {found.message or 'see its InPlaceRollout'}", ExitCode.STOPPED
            )
        if not until_it_ends and read_request(now) is None:
            return Acknowledged(now.spec.holder_identity)
        if not until_it_ends and read_request(now) == "abort":
            raise CommandExit(f"{target} was asked to abort meanwhile, which comes before everything else", ExitCode.STOPPED)
        if until_it_ends and read_request(now) is None and found.outcome is not None:
            return Released(found, last)  # a controller holds on to what it has paused
        seen = read_heartbeat(cluster.api, now)
        if seen != pulse:
            pulse, changed_at = seen, clock.monotonic()
        elif clock.monotonic() - changed_at >= LEASE_DURATION_SECONDS:
            streams.note(f"{now.spec.holder_identity} does not answer and seems dead")
            return HolderGone(found)


def _stands(now: Run, before: Run) -> bool:
    """As it stood when it was asked: a controller has taken the request in, and may not obey it."""
    return (now.outcome, before.outcome) == ("Paused", "Paused") and now.ended_at == before.ended_at
