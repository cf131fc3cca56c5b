"""Resolves what is to be done for a target, judged on one snapshot of it and on the stored run: for a command in the foreground
and for the controller alike.

Nothing here writes; the caller may hold the lock already, or not yet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import msgspec

from inplace.engine.gate_openers import GateOpeners
from inplace.engine.kinds.external_changes import marked
from inplace.engine.kinds.image_provenance import believed, unvouched
from inplace.engine.kinds.workload import uid_of
from inplace.engine.planning.plan import Caution, RunResult
from inplace.engine.preflight import checks
from inplace.engine.preflight.rehearsal import Rehearsal
from inplace.engine.runs import lifecycle, undo
from inplace.engine.runs.history import latest_revision
from inplace.engine.runs.leftovers import infer_owner_strategy
from inplace.engine.snapshot import Snapshot
from inplace.engine.workloads.managed_fields import POD_PATH, TEMPLATE_PATH, image_owners, last_writer, owns_strategy
from inplace.kube.api import ApiClient
from inplace.kube.clock import format_time
from inplace.kube.errors import ApiError
from inplace.kube.resources import NODES
from inplace.model.constants import FIELD_MANAGER
from inplace.model.objects.coordination import Lease
from inplace.model.refs import TargetRef
from inplace.model.run import TERMINAL_OUTCOMES, FieldOwner, Run, lease_name
from inplace.runtime.errors import RefusedError
from inplace.runtime.gates.openers import with_openers
from inplace.runtime.informers.target_informers import TargetCaches
from inplace.runtime.lease.lock import run_from_lease
from inplace.runtime.lookup import ResolvedTarget, resolve_target
from inplace.runtime.run.executor import Executor
from inplace.runtime.run.server_dry_run import PATIENCE_SECONDS, rehearse

TakeSnapshot = Callable[[Run], Snapshot]
"""Returns the snapshot that the run would be judged on."""


class AlreadyDone(msgspec.Struct, frozen=True):
    """Pods and template already are as requested."""

    message: str


class ClearedRun(msgspec.Struct, frozen=True):
    """The run may begin."""

    run: Run
    warnings: tuple[Caution, ...]


class RunResolver:
    """One target, as it was resolved. `look` may raise `RefusedError`."""

    def __init__(
        self,
        api: ApiClient,
        target: TargetRef,
        resolved: ResolvedTarget,
        look: TakeSnapshot,
        caches: TargetCaches,
        *,
        looks_up_openers: bool = False,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        """`looks_up_openers`: a person is to know what opens the gates of new pods, which costs up to three reads, once.
        `patience_seconds`: how long dry runs wait for what has changed to be seen."""
        self._patience_seconds = patience_seconds
        self._api = api
        self._looks_up_openers = looks_up_openers
        self._openers: GateOpeners | None = None
        self._dry = Executor(api, target.namespace, caches, dry_run=True)
        self._target = target
        self._resolved = resolved
        self._look = look

    def decide(self, requested: Run, overrides: Mapping[str, Any], stored: Run | None) -> lifecycle.Decision:
        """What to do with this request. `overrides`: the options that the person named now."""
        stored = self.trusted_run(stored, requested)
        requested = self.fill_from_cluster(requested, stored)
        overtaken = lifecycle.check_overtaken(stored, self._look(requested))
        return lifecycle.resolve_command(stored, requested, overrides, overtaken=overtaken is not None)

    def trusted_run(self, stored: Run | None, requested: Run) -> Run | None:
        """The stored run, without what neither the cluster nor the present request confirms."""
        return (
            believed(stored, self._look(requested), requested.images) if stored is not None and stored.is_unfinished else stored
        )

    def fill_from_cluster(self, requested: Run, stored: Run | None) -> Run:
        """Adds to a new run what only the cluster knows: uid, previous images, owners of the image fields."""
        snapshot = self._look(requested)
        requested = lifecycle.refresh_owner_settings(lifecycle.inherit_strategy(requested, stored, uid_of(snapshot)), snapshot)
        managed = (entry for pod, entries in self._resolved.managed if not pod for entry in entries)
        if requested.saved_strategy is not None and not (stored is not None and stored.is_unfinished):
            original = infer_owner_strategy(
                requested.saved_strategy, requested.target.kind, owns_strategy(managed, FIELD_MANAGER)
            )
            requested = msgspec.structs.replace(requested, saved_strategy=original or requested.saved_strategy)
        have, ahead = checks.current_images(snapshot, requested), checks.pending_template_images(snapshot, requested)
        images = ahead if requested.adopts_template else requested.images
        return msgspec.structs.replace(
            marked(requested, snapshot),
            images=images,
            revision_before=latest_revision(snapshot.target),
            from_images={name: have[name] for name in images if name in have},
            superseded_images=(ahead,) if ahead.items() - images.items() else (),
            owners=self._owners(tuple(images)),
            pod_from_images=checks.images_on_pods(snapshot, images, have),
        )

    def resolve_undo(
        self, requested: Run, to_revision: int | None, overrides: Mapping[str, Any], stored: Run | None
    ) -> Run | AlreadyDone:
        """`requested` as a run that goes back. Raises `RefusedError`."""
        match undo.resolve_undo_target(self._look(requested), str(self._target), stored, to_revision):
            case checks.Rejected(message=message):
                raise RefusedError(message)
            case undo.UndoTarget(images=images, what=what):
                options = undo.undo_options(stored, overrides)
                run = msgspec.structs.replace(
                    requested, operation="Undo", adopts_template=False, images=images, options=options
                )
                return run if images else AlreadyDone(f"{self._target} runs the images of {what} already")

    def require_known_images(self, images: Mapping[str, str], snapshot: Snapshot, what: str) -> None:
        """Raises `RefusedError` where only the Lease says that the pods ever ran the images they would go back to."""
        unknown = unvouched(images, snapshot)
        if unknown:
            why = f"no pod of {self._target} and nothing in its history knows {unknown}"
            raise RefusedError(f"{why} ({what}): say the images that you want, with `inplace upgrade`")

    def check(self, run: Run, is_resumed: bool) -> checks.Verdict | AlreadyDone:
        """Whether the run may begin."""
        snapshot = self._look(run)
        run = lifecycle.refresh_owner_settings(run, snapshot)
        if not run.images:
            return AlreadyDone(f"the pods of {self._target} run what its template says")
        return self.preflight(snapshot, run, is_resumed)

    def with_gate_openers(self, snapshot: Snapshot, run: Run) -> Snapshot:
        """Adds what opens the gates of new pods, if a person is to know."""
        if self._looks_up_openers and self._openers is None:
            self._openers = with_openers(self._api, snapshot, self._target, run.options.gate).gate_openers
        return msgspec.structs.replace(snapshot, gate_openers=self._openers)

    def preflight(self, snapshot: Snapshot, run: Run, is_resumed: bool) -> checks.Verdict:
        """Names the version of a kubelet that is too old, if its Node may be read: a permission that we do not require."""
        snapshot = self.with_gate_openers(snapshot, run)
        verdict = checks.preflight(snapshot, run, lease_name(self._target), is_resumed)
        if not isinstance(verdict, checks.Rejected) or not verdict.node:
            return verdict
        with suppress(ApiError):
            version = self._api.get(NODES, None, verdict.node).status.node_info.kubelet_version
            return msgspec.structs.replace(verdict, message=f"{verdict.message} (its kubelet is {version})")
        return verdict

    def clear_to_start(self, run: Run, is_resumed: bool, stored: Run | None) -> ClearedRun | AlreadyDone | checks.Rejected:
        """The run as it may begin. A run other than `stored` is rehearsed first. Raises `ApiError`."""
        match self.check(run, is_resumed):
            case AlreadyDone() | checks.Rejected() as why_not:
                return why_not
            case checks.UpToDate():
                return AlreadyDone(f"{self._target} runs {format_images(run)} already")
            case checks.Accepted(warnings=warnings):
                pass
        if stored is not None and stored.id == run.id:
            return ClearedRun(run, warnings)
        rehearsal = self.rehearse(run)
        if rehearsal.problem:
            return checks.Rejected(rehearsal.problem)
        if isinstance(self.check(rehearsal.run, is_resumed), checks.UpToDate):
            return AlreadyDone(f"{self._target} runs {format_images(rehearsal.run)} already")
        return ClearedRun(rehearsal.run, (*warnings, *rehearsal.cautions))

    def rehearse(self, run: Run) -> Rehearsal:
        """Sends the writes of the run as dry runs. Raises `ApiError`."""
        run = lifecycle.refresh_owner_settings(run, self._look(run))
        return rehearse(self._dry, self._api.clock, self._look, run, self._patience_seconds)

    def with_last_writer(self, finished: RunResult) -> RunResult:
        """Adds who changed the workload, if somebody other than the run did."""
        if not finished.external_change:
            return finished
        with suppress(ApiError, RefusedError):
            managed = resolve_target(self._api, self._target).managed
            writers = [last_writer(entries, FIELD_MANAGER) for _, entries in managed]
            if writers and writers[0]:
                return msgspec.structs.replace(finished, message=f"{finished.message} ({writers[0]})")
        return finished

    def can_delete_lease(self, run: Run, finished: RunResult) -> bool:
        """Whether the Lease need not be kept: bare pods have no owner with which it would be deleted, and what a run did to an
        object that is gone says nothing about another object of that name."""
        is_of_another = bool(run.target_uid) and run.target_uid != self._resolved.uid
        return is_of_another or not run.images or (self._target.kind == "Pods" and finished.outcome in TERMINAL_OUTCOMES)

    def finalize_run(self, run: Run, finished: RunResult, snapshot: Snapshot) -> tuple[Run, tuple[int, ...]]:
        """The run as it is stored at its end, and the revisions that it created."""
        ended_at = format_time(self._api.clock.utcnow())
        ended = msgspec.structs.replace(run, outcome=finished.outcome, message=finished.message, ended_at=ended_at)
        newest = latest_revision(snapshot.target)
        return ended, () if finished.external_change else tuple(range(run.revision_before + 1, newest + 1))

    def _owners(self, containers: tuple[str, ...]) -> tuple[FieldOwner, ...]:
        """Listed once if every bare pod has the same: pods may be many, and all of it is stored."""
        path = POD_PATH if self._target.kind == "Pods" else TEMPLATE_PATH
        by_pod = {pod: image_owners(managed, containers, path, FIELD_MANAGER) for pod, managed in self._resolved.managed}
        first = next(iter(by_pod.values()), ())
        if all(owners == first for owners in by_pod.values()):
            return first
        return tuple(msgspec.structs.replace(owner, pod=pod) for pod, owners in by_pod.items() for owner in owners)


def load_stored_run(lease: Lease | None) -> Run | None:
    """The stored run; None: there is none. Raises `RefusedError` where it cannot be read."""
    try:
        return run_from_lease(lease)
    except ValueError as error:
        name = lease.metadata.name if lease is not None else ""
        raise RefusedError(f"{error}; if nothing upgrades this target, delete Lease {name}") from None


def format_images(run: Run) -> str:
    return ", ".join(f"{name}={image}" for name, image in run.requested_images.items())
