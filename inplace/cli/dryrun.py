"""`--dry-run=server`: each kind of write that an upgrade would send, sent once with dryRun=All.

So admission, quotas and validation are heard before anything is touched. Nothing is persisted; a conflict only means that the
object changed since it was read, and is looked at again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from inplace.cli.exits import Code, Ended
from inplace.engine.actions import (
    Action,
    CloseGate,
    CreateTombstone,
    OpenGate,
    PatchImages,
    PatchTemplate,
    PauseTarget,
    SetStrategy,
)
from inplace.engine.budget import order_of
from inplace.engine.commit import live_of
from inplace.engine.observed import DaemonSetTarget, DeploymentTarget, Observed, PodFacts, StatefulSetTarget
from inplace.engine.plan import Spec
from inplace.engine.planner import rules_of
from inplace.engine.stages import judge
from inplace.engine.starts import gate_before
from inplace.engine.target import workload_of
from inplace.engine.templatefirst import ABOVE_ALL, held
from inplace.engine.templates import init_names_of, tombstone
from inplace.kube.errors import ApiError, Conflict
from inplace.model.record import ContainerBefore, Record
from inplace.model.run import Run, lease_name
from inplace.runtime.executor import Executor
from inplace.runtime.session import NothingToDo, Preview, Session

TRIES = 3


def send(session: Session, preview: Preview, look: Callable[[Session], Preview | NothingToDo]) -> None:
    """`look` is asked again where something has changed. Raises `Ended` with all that the API server refuses, in one line."""
    executor = Executor(session.api, session.target.namespace, session.watches, dry_run=True)
    refusals: dict[str, str] = {}
    for number in range(TRIES):
        conflicts: dict[str, str] = {}
        for what, action in writes(preview.observed, preview.run):
            if what in refusals:
                continue
            try:
                executor.perform(action)
            except Conflict as error:
                conflicts[what] = str(error)
            except ApiError as error:
                refusals[what] = str(error)
        if not conflicts:
            break
        if number == TRIES - 1:
            refusals |= conflicts
        else:
            looked = look(session)
            if isinstance(looked, NothingToDo):
                break
            preview = looked
    if refusals:
        text = "; ".join(f"{what}: {why}" for what, why in refusals.items())
        raise Ended(f"the API server refuses (server dry run) to {text}", Code.REFUSED)


def writes(observed: Observed, run: Run) -> Iterator[tuple[str, Action]]:
    """Each kind of write once, with what it is for a person."""
    facts = _first_pod(observed, run)
    if facts is not None:
        yield from _pod_writes(facts, run)
    found = workload_of(observed)
    if found is None or run.target.kind == "Pods":
        return
    meta, kind, init = found.metadata, run.target.kind, init_names_of(found.spec.template)
    judged = (meta.name, meta.uid, meta.resource_version)
    match observed.target:
        case DeploymentTarget(deployment=deployment) as target if deployment is not None:
            yield f"pause deploy/{meta.name}", PauseTarget(*judged, paused=True)
            if (live := live_of(target)) is not None:
                manifest = tombstone(deployment, live, run.from_images)
                of_live = (live.metadata.name, live.metadata.uid, live.metadata.resource_version)
                yield f"change the template of rs/{of_live[0]}", PatchTemplate(*of_live, "ReplicaSet", run.images, init)
                yield (
                    f"keep the old template as a ReplicaSet of deploy/{meta.name}",
                    CreateTombstone(manifest["metadata"]["name"], manifest),
                )
        case StatefulSetTarget() | DaemonSetTarget():
            strategy = held(run, kind, ABOVE_ALL)
            yield f"change the updateStrategy of {run.target}", SetStrategy(*judged, kind, strategy)
        case _:
            pass
    yield f"change the template of {run.target}", PatchTemplate(*judged, kind, run.images, init)


def _first_pod(observed: Observed, run: Run) -> PodFacts | None:
    rules = rules_of(observed, Spec(lease_name(run.target)), run, None)
    judged = [judge(facts, rules, None, 0.0) for facts in observed.pods]
    return next((j.facts for j in order_of((j for j in judged if j.stage == "Pending"), observed)), None)


def _pod_writes(facts: PodFacts, run: Run) -> Iterator[tuple[str, Action]]:
    pod, gate, have = f"pod/{facts.pod.name}", run.options.gate, facts.pod.spec.images()
    changed = {name: image for name, image in run.images.items() if have.get(name) != image}
    record = Record(
        run=run.id,
        lease=lease_name(run.target),
        gate_before=gate_before(facts, gate),
        from_images={name: have[name] for name in changed if name in have},
        to_images=run.images,
        before={name: ContainerBefore() for name in changed},
    )
    yield f"close the gate of {pod}", CloseGate(facts.ref, gate, record)
    yield f"change the images of {pod}", PatchImages(facts.ref, changed, record, facts.pod.spec.init_names())
    yield f"open the gate of {pod}", OpenGate(facts.ref, gate, "Upgraded")
