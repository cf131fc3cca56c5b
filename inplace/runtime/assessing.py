"""What is to be done for a target, judged on one look at it and on the run that is stored: for a command in the foreground
and for the controller alike.

Nothing here writes; whoever asks holds no lock yet, or already.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import msgspec

from inplace.engine import preflight as checking
from inplace.engine import resume as resuming
from inplace.engine import undo as undoing
from inplace.engine.fields import POD_PATH, TEMPLATE_PATH, last_writer, owners_of, wrote_strategy
from inplace.engine.history import number_of
from inplace.engine.identity import marked
from inplace.engine.observed import Observed
from inplace.engine.openers import GateOpeners
from inplace.engine.plan import Caution, Finished
from inplace.engine.rehearsal import Rehearsal
from inplace.engine.repair import own_strategy
from inplace.engine.target import uid_of
from inplace.engine.vouching import believed, unvouched
from inplace.kube.api import Api
from inplace.kube.clock import stamp
from inplace.kube.errors import ApiError
from inplace.kube.resources import NODES
from inplace.model.names import FIELD_MANAGER, TargetRef
from inplace.model.policy import Lease
from inplace.model.run import ENDS, FieldOwner, Run, lease_name
from inplace.runtime.executor import Executor
from inplace.runtime.found import Found, Refused, find
from inplace.runtime.lock import run_of
from inplace.runtime.openers import with_openers
from inplace.runtime.rehearsing import rehearse
from inplace.runtime.watches import Sight

Look = Callable[[Run], Observed]
"""The snapshot that the run would be judged on."""


class NothingToDo(msgspec.Struct, frozen=True):
    """Pods and template are there already."""

    message: str


class Cleared(msgspec.Struct, frozen=True):
    """It may begin."""

    run: Run
    warnings: tuple[Caution, ...]


class Assessor:
    """One target, as it was found. `look` may raise `Refused`."""

    def __init__(
        self, api: Api, target: TargetRef, found: Found, look: Look, watches: Sight, *, asks_for_openers: bool = False
    ) -> None:
        """`asks_for_openers`: a person is told who opens the gates of new pods, which costs up to three reads, once."""
        self._api = api
        self._asks_for_openers = asks_for_openers
        self._openers: GateOpeners | None = None
        self._dry = Executor(api, target.namespace, watches, dry_run=True)
        self._target = target
        self._found = found
        self._look = look

    def decide(self, asked: Run, given: Mapping[str, Any], stored: Run | None) -> resuming.Decision:
        """What asking for this run comes to. `given`: the options that a person named now."""
        stored = self.believed(stored, asked)
        asked = self.completed(asked, stored)
        over = resuming.overtaken(stored, self._look(asked))
        return resuming.decide(stored, asked, given, overtaken=over is not None)

    def believed(self, stored: Run | None, asked: Run) -> Run | None:
        """The stored run as far as anything vouches for it, or the person who asks now."""
        return believed(stored, self._look(asked), asked.images) if stored is not None and stored.is_open else stored

    def completed(self, asked: Run, stored: Run | None) -> Run:
        """The new run with what only the cluster knows: uid, images before, owners of the image fields."""
        observed = self._look(asked)
        asked = resuming.as_seen(resuming.knowing(asked, stored, uid_of(observed)), observed)
        managed = (entry for pod, entries in self._found.managed if not pod for entry in entries)
        if asked.strategy is not None and not (stored is not None and stored.is_open):
            own = own_strategy(asked.strategy, asked.target.kind, wrote_strategy(managed, FIELD_MANAGER))
            asked = msgspec.structs.replace(asked, strategy=own or asked.strategy)
        have, ahead = checking.images_before(observed, asked), checking.images_ahead(observed, asked)
        images = ahead if asked.takes_over else asked.images
        return msgspec.structs.replace(
            marked(asked, observed),
            images=images,
            revision_before=number_of(observed.target),
            from_images={name: have[name] for name in images if name in have},
            displaced=(ahead,) if ahead.items() - images.items() else (),
            owners=self._owners(tuple(images)),
            pod_from_images=checking.images_on_pods(observed, images, have),
        )

    def undoing(self, asked: Run, to_revision: int | None, given: Mapping[str, Any], stored: Run | None) -> Run | NothingToDo:
        """`asked` as a run that goes back. Raises `Refused`."""
        match undoing.aim(self._look(asked), str(self._target), stored, to_revision):
            case checking.Refusal(message=message):
                raise Refused(message)
            case undoing.Aim(images=images, what=what):
                options = undoing.options(stored, given)
                run = msgspec.structs.replace(asked, doing="Undo", takes_over=False, images=images, options=options)
                return run if images else NothingToDo(f"{self._target} runs the images of {what} already")

    def require_word_for(self, images: Mapping[str, str], observed: Observed, what: str) -> None:
        """Raises `Refused` where only the Lease says that the pods ever ran what they would be taken back to."""
        unknown = unvouched(images, observed)
        if unknown:
            known = f"no pod of {self._target} and nothing in its history knows {unknown}"
            raise Refused(f"{known} ({what}): say the images that you want, with `inplace upgrade`")

    def verdict(self, run: Run, is_resumed: bool) -> checking.Verdict | NothingToDo:
        """Whether the run may begin."""
        observed = self._look(run)
        run = resuming.as_seen(run, observed)
        if not run.images:
            return NothingToDo(f"the pods of {self._target} run what its template says")
        return self.preflight(observed, run, is_resumed)

    def knowing_openers(self, observed: Observed, run: Run) -> Observed:
        """With who opens the gates of new pods, where a person is to be told."""
        if self._asks_for_openers and self._openers is None:
            self._openers = with_openers(self._api, observed, self._target, run.options.gate).openers
        return msgspec.structs.replace(observed, openers=self._openers)

    def preflight(self, observed: Observed, run: Run, is_resumed: bool) -> checking.Verdict:
        """With the version of a kubelet that is too old, where its Node may be read: that is no right we ask for."""
        observed = self.knowing_openers(observed, run)
        found = checking.preflight(observed, run, lease_name(self._target), is_resumed)
        if not isinstance(found, checking.Refusal) or not found.node:
            return found
        with suppress(ApiError):
            version = self._api.get(NODES, None, found.node).status.node_info.kubelet_version
            return msgspec.structs.replace(found, message=f"{found.message} (its kubelet is {version})")
        return found

    def cleared(self, run: Run, is_resumed: bool, stored: Run | None) -> Cleared | NothingToDo | checking.Refusal:
        """The run as it may begin. One that is not `stored` already is rehearsed first. Raises `ApiError`."""
        match self.verdict(run, is_resumed):
            case NothingToDo() | checking.Refusal() as why_not:
                return why_not
            case checking.NoChange():
                return NothingToDo(f"{self._target} runs {told_images(run)} already")
            case checking.Ready(warnings=warnings):
                pass
        if stored is not None and stored.id == run.id:
            return Cleared(run, warnings)
        found = self.rehearsed(run)
        if found.problem:
            return checking.Refusal(found.problem)
        if isinstance(self.verdict(found.run, is_resumed), checking.NoChange):
            return NothingToDo(f"{self._target} runs {told_images(found.run)} already")
        return Cleared(found.run, (*warnings, *found.cautions))

    def rehearsed(self, run: Run) -> Rehearsal:
        """What the API server makes of its writes. Raises `ApiError`."""
        return rehearse(self._dry, self._api.clock, self._look, resuming.as_seen(run, self._look(run)))

    def signed(self, finished: Finished) -> Finished:
        """With who has changed the workload under us, where somebody has."""
        if not finished.by_others:
            return finished
        with suppress(ApiError, Refused):
            managed = find(self._api, self._target).managed
            who = [last_writer(entries, FIELD_MANAGER) for _, entries in managed]
            if who and who[0]:
                return msgspec.structs.replace(finished, message=f"{finished.message} ({who[0]})")
        return finished

    def is_spent(self, run: Run, finished: Finished) -> bool:
        """Whether the Lease has nothing more to remember, and goes: bare pods have no owner that would take it along, and what
        a run has done to an object that is gone says nothing about another of its name."""
        is_of_another = bool(run.target_uid) and run.target_uid != self._found.uid
        return is_of_another or not run.images or (self._target.kind == "Pods" and finished.outcome in ENDS)

    def ended(self, run: Run, finished: Finished, observed: Observed) -> tuple[Run, tuple[int, ...]]:
        """The run as it is stored at its end, and the revisions that it has brought about."""
        ended_at = stamp(self._api.clock.utcnow())
        ended = msgspec.structs.replace(run, outcome=finished.outcome, message=finished.message, ended_at=ended_at)
        newest = number_of(observed.target)
        return ended, () if finished.by_others else tuple(range(run.revision_before + 1, newest + 1))

    def _owners(self, containers: tuple[str, ...]) -> tuple[FieldOwner, ...]:
        """Said once where every bare pod has the same: they may be many, and all of it is stored."""
        path = POD_PATH if self._target.kind == "Pods" else TEMPLATE_PATH
        found = {pod: owners_of(managed, containers, path, FIELD_MANAGER) for pod, managed in self._found.managed}
        each = next(iter(found.values()), ())
        if all(owners == each for owners in found.values()):
            return each
        return tuple(msgspec.structs.replace(owner, pod=pod) for pod, owners in found.items() for owner in owners)


def readable(lease: Lease | None) -> Run | None:
    """The stored run. Raises `Refused` where it cannot be read."""
    try:
        return run_of(lease)
    except ValueError as error:
        name = lease.metadata.name if lease is not None else ""
        raise Refused(f"{error}; if nothing upgrades this target, delete Lease {name}") from None


def told_images(run: Run) -> str:
    return ", ".join(f"{name}={image}" for name, image in run.asked_images.items())
