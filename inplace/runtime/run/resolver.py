"""What is to be done for a target, judged on one look at it and on the run that is stored: for a command in the foreground
and for the controller alike.

Nothing here writes; whoever asks holds no lock yet, or already.
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
from inplace.engine.preflight import checks as checking
from inplace.engine.preflight.rehearsal import Rehearsal
from inplace.engine.runs import lifecycle as resuming
from inplace.engine.runs import undo as undoing
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
from inplace.runtime.run.server_dry_run import rehearse

TakeSnapshot = Callable[[Run], Snapshot]
"""The snapshot that the run would be judged on."""


class AlreadyDone(msgspec.Struct, frozen=True):
    """Pods and template are there already."""

    message: str


class ClearedRun(msgspec.Struct, frozen=True):
    """It may begin."""

    run: Run
    warnings: tuple[Caution, ...]


class RunResolver:
    """One target, as it was found. `look` may raise `Refused`."""

    def __init__(
        self,
        api: ApiClient,
        target: TargetRef,
        found: ResolvedTarget,
        look: TakeSnapshot,
        watches: TargetCaches,
        *,
        looks_up_openers: bool = False,
    ) -> None:
        """`looks_up_openers`: a person is told who opens the gates of new pods, which costs up to three reads, once."""
        self._api = api
        self._looks_up_openers = looks_up_openers
        self._openers: GateOpeners | None = None
        self._dry = Executor(api, target.namespace, watches, dry_run=True)
        self._target = target
        self._found = found
        self._look = look

    def decide(self, asked: Run, given: Mapping[str, Any], stored: Run | None) -> resuming.Decision:
        """What asking for this run comes to. `given`: the options that a person named now."""
        stored = self.trusted_run(stored, asked)
        asked = self.fill_from_cluster(asked, stored)
        over = resuming.check_overtaken(stored, self._look(asked))
        return resuming.resolve_command(stored, asked, given, overtaken=over is not None)

    def trusted_run(self, stored: Run | None, asked: Run) -> Run | None:
        """The stored run as far as anything vouches for it, or the person who asks now."""
        return believed(stored, self._look(asked), asked.images) if stored is not None and stored.is_unfinished else stored

    def fill_from_cluster(self, asked: Run, stored: Run | None) -> Run:
        """The new run with what only the cluster knows: uid, images before, owners of the image fields."""
        observed = self._look(asked)
        asked = resuming.refresh_owner_settings(resuming.inherit_strategy(asked, stored, uid_of(observed)), observed)
        managed = (entry for pod, entries in self._found.managed if not pod for entry in entries)
        if asked.saved_strategy is not None and not (stored is not None and stored.is_unfinished):
            own = infer_owner_strategy(asked.saved_strategy, asked.target.kind, owns_strategy(managed, FIELD_MANAGER))
            asked = msgspec.structs.replace(asked, saved_strategy=own or asked.saved_strategy)
        have, ahead = checking.current_images(observed, asked), checking.pending_template_images(observed, asked)
        images = ahead if asked.adopts_template else asked.images
        return msgspec.structs.replace(
            marked(asked, observed),
            images=images,
            revision_before=latest_revision(observed.target),
            from_images={name: have[name] for name in images if name in have},
            superseded_images=(ahead,) if ahead.items() - images.items() else (),
            owners=self._owners(tuple(images)),
            pod_from_images=checking.images_on_pods(observed, images, have),
        )

    def resolve_undo(
        self, asked: Run, to_revision: int | None, given: Mapping[str, Any], stored: Run | None
    ) -> Run | AlreadyDone:
        """`asked` as a run that goes back. Raises `Refused`."""
        match undoing.resolve_undo_target(self._look(asked), str(self._target), stored, to_revision):
            case checking.Rejected(message=message):
                raise RefusedError(message)
            case undoing.UndoTarget(images=images, what=what):
                options = undoing.undo_options(stored, given)
                run = msgspec.structs.replace(asked, operation="Undo", adopts_template=False, images=images, options=options)
                return run if images else AlreadyDone(f"{self._target} runs the images of {what} already")

    def require_known_images(self, images: Mapping[str, str], observed: Snapshot, what: str) -> None:
        """Raises `Refused` where only the Lease says that the pods ever ran what they would be taken back to."""
        unknown = unvouched(images, observed)
        if unknown:
            known = f"no pod of {self._target} and nothing in its history knows {unknown}"
            raise RefusedError(f"{known} ({what}): say the images that you want, with `inplace upgrade`")

    def check(self, run: Run, is_resumed: bool) -> checking.Verdict | AlreadyDone:
        """Whether the run may begin."""
        observed = self._look(run)
        run = resuming.refresh_owner_settings(run, observed)
        if not run.images:
            return AlreadyDone(f"the pods of {self._target} run what its template says")
        return self.preflight(observed, run, is_resumed)

    def with_gate_openers(self, observed: Snapshot, run: Run) -> Snapshot:
        """With who opens the gates of new pods, where a person is to be told."""
        if self._looks_up_openers and self._openers is None:
            self._openers = with_openers(self._api, observed, self._target, run.options.gate).gate_openers
        return msgspec.structs.replace(observed, gate_openers=self._openers)

    def preflight(self, observed: Snapshot, run: Run, is_resumed: bool) -> checking.Verdict:
        """With the version of a kubelet that is too old, where its Node may be read: that is no right we ask for."""
        observed = self.with_gate_openers(observed, run)
        found = checking.preflight(observed, run, lease_name(self._target), is_resumed)
        if not isinstance(found, checking.Rejected) or not found.node:
            return found
        with suppress(ApiError):
            version = self._api.get(NODES, None, found.node).status.node_info.kubelet_version
            return msgspec.structs.replace(found, message=f"{found.message} (its kubelet is {version})")
        return found

    def clear_to_start(self, run: Run, is_resumed: bool, stored: Run | None) -> ClearedRun | AlreadyDone | checking.Rejected:
        """The run as it may begin. One that is not `stored` already is rehearsed first. Raises `ApiError`."""
        match self.check(run, is_resumed):
            case AlreadyDone() | checking.Rejected() as why_not:
                return why_not
            case checking.UpToDate():
                return AlreadyDone(f"{self._target} runs {format_images(run)} already")
            case checking.Accepted(warnings=warnings):
                pass
        if stored is not None and stored.id == run.id:
            return ClearedRun(run, warnings)
        found = self.rehearse(run)
        if found.problem:
            return checking.Rejected(found.problem)
        if isinstance(self.check(found.run, is_resumed), checking.UpToDate):
            return AlreadyDone(f"{self._target} runs {format_images(found.run)} already")
        return ClearedRun(found.run, (*warnings, *found.cautions))

    def rehearse(self, run: Run) -> Rehearsal:
        """What the API server makes of its writes. Raises `ApiError`."""
        return rehearse(self._dry, self._api.clock, self._look, resuming.refresh_owner_settings(run, self._look(run)))

    def with_last_writer(self, finished: RunResult) -> RunResult:
        """With who has changed the workload under us, where somebody has."""
        if not finished.external_change:
            return finished
        with suppress(ApiError, RefusedError):
            managed = resolve_target(self._api, self._target).managed
            who = [last_writer(entries, FIELD_MANAGER) for _, entries in managed]
            if who and who[0]:
                return msgspec.structs.replace(finished, message=f"{finished.message} ({who[0]})")
        return finished

    def can_delete_lease(self, run: Run, finished: RunResult) -> bool:
        """Whether the Lease has nothing more to remember, and goes: bare pods have no owner that would take it along, and what
        a run has done to an object that is gone says nothing about another of its name."""
        is_of_another = bool(run.target_uid) and run.target_uid != self._found.uid
        return is_of_another or not run.images or (self._target.kind == "Pods" and finished.outcome in TERMINAL_OUTCOMES)

    def finalize_run(self, run: Run, finished: RunResult, observed: Snapshot) -> tuple[Run, tuple[int, ...]]:
        """The run as it is stored at its end, and the revisions that it has brought about."""
        ended_at = format_time(self._api.clock.utcnow())
        ended = msgspec.structs.replace(run, outcome=finished.outcome, message=finished.message, ended_at=ended_at)
        newest = latest_revision(observed.target)
        return ended, () if finished.external_change else tuple(range(run.revision_before + 1, newest + 1))

    def _owners(self, containers: tuple[str, ...]) -> tuple[FieldOwner, ...]:
        """Said once where every bare pod has the same: they may be many, and all of it is stored."""
        path = POD_PATH if self._target.kind == "Pods" else TEMPLATE_PATH
        found = {pod: image_owners(managed, containers, path, FIELD_MANAGER) for pod, managed in self._found.managed}
        each = next(iter(found.values()), ())
        if all(owners == each for owners in found.values()):
            return each
        return tuple(msgspec.structs.replace(owner, pod=pod) for pod, owners in found.items() for owner in owners)


def load_stored_run(lease: Lease | None) -> Run | None:
    """The stored run. Raises `Refused` where it cannot be read."""
    try:
        return run_from_lease(lease)
    except ValueError as error:
        name = lease.metadata.name if lease is not None else ""
        raise RefusedError(f"{error}; if nothing upgrades this target, delete Lease {name}") from None


def format_images(run: Run) -> str:
    return ", ".join(f"{name}={image}" for name, image in run.requested_images.items())
