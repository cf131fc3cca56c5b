"""Rehearses a run before its first write: lists each distinct kind of write that it will need, to be sent once as a dry run,
and draws conclusions from the answers.

Dry runs pass through admission and quotas, so their effect on the images is known before a pod is touched. An added digest or a
mirror's name becomes the run's own image; any other change is a reason not to begin.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from inplace.engine.actions import (
    CloseGate,
    CreateHistoryReplicaSet,
    OpenGate,
    PatchIdleImages,
    PatchImages,
    PatchTemplate,
    SetPaused,
    SetUpdateStrategy,
)
from inplace.engine.availability.budget import upgrade_order
from inplace.engine.kinds.registry import strategy_for
from inplace.engine.planning.plan import Caution, PlanContext
from inplace.engine.planning.planner import pod_policy
from inplace.engine.planning.scheduling import gate_before, patch_idle
from inplace.engine.planning.sequences import LOST
from inplace.engine.pods.gates import gate_state
from inplace.engine.pods.goals import goal_of
from inplace.engine.pods.stages import CHANGED, assess_pod, changed_images, restarted_containers
from inplace.engine.snapshot import ObservedPod, Snapshot
from inplace.engine.workloads.sequence import Write
from inplace.engine.workloads.template_last import preconditions
from inplace.engine.workloads.templates import differences, images_of, init_names_of
from inplace.model.images import accepts
from inplace.model.objects.pods import Pod
from inplace.model.objects.workloads import POD_TEMPLATE_HASH, Workload
from inplace.model.record import PreviousContainer, UpgradeRecord
from inplace.model.run import Run, lease_name


class RefusedWrite(msgspec.Struct, frozen=True):
    """A write that failed. `why`: the API server's message, or how its answer differs from the request."""

    write: Write
    why: str


class Rehearsal(msgspec.Struct, frozen=True):
    """The result of a rehearsal. `run`: the run with the images that admission makes of the requested ones."""

    run: Run
    refused: tuple[RefusedWrite, ...] = ()

    @property
    def cautions(self) -> tuple[Caution, ...]:
        """Warns of images that admission renames, and of what the run goes without."""
        run = self.run
        made = {f"{run.images[name]} of {image} (container {name})" for name, image in run.images_before_admission.items()}
        on_pods = {f"{image} of {run.images[name]} on pods (container {name})" for name, image in run.pod_images.items()}
        renamed = (f"admission makes {text}: that is what the run brings them to" for text in sorted(made | on_pods))
        lost = (
            f"{LOST['history']}: {item.why}" for item in self.refused if isinstance(item.write.action, CreateHistoryReplicaSet)
        )
        return (*(Caution(CHANGED, text) for text in renamed), *(Caution("HistoryNotKept", text) for text in lost))

    @property
    def problem(self) -> str:
        """Says in one line which writes fail that the run needs; empty if none does."""
        needed = (item for item in self.refused if not isinstance(item.write.action, CreateHistoryReplicaSet))
        text = "; ".join(f"{item.write.what}: {item.why}" for item in needed)
        return f"the API server refuses (server dry run) to {text}" if text else ""


def writes(snapshot: Snapshot, run: Run) -> Iterator[Write]:
    """Yields the writes to rehearse: the target's template first, since the others use what admission makes of its images."""
    target_workload, kind = snapshot.target.workload, run.target.kind
    if target_workload is not None and kind != "Pods":
        init = init_names_of(target_workload.spec.template)
        yield Write(
            f"change the template of {run.target}",
            PatchTemplate(*preconditions(target_workload), kind, run.images, init),
            target_workload,
        )
    for facts in _distinct(snapshot, run):
        yield from _pod_writes(facts, snapshot, run)
    yield from strategy_for(snapshot).writes(run)


def _distinct(snapshot: Snapshot, run: Run) -> Iterator[ObservedPod]:
    """Yields one pod to upgrade of each shape: the same images, created from the same template, with the same gate."""
    policy = pod_policy(snapshot, PlanContext(lease_name(run.target)), run, None)
    assessments = [assess_pod(facts, policy, None, 0.0) for facts in snapshot.pods]
    seen = set()
    for facts in (j.facts for j in upgrade_order((j for j in assessments if j.stage == "Pending"), snapshot)):
        labels = facts.pod.metadata.labels or {}
        hashes = (labels.get(POD_TEMPLATE_HASH), labels.get("controller-revision-hash"))
        shape = (tuple(facts.images.items()), hashes, gate_state(facts.pod, run.options.gate))
        if shape not in seen:
            seen.add(shape)
            yield facts


def _pod_writes(facts: ObservedPod, snapshot: Snapshot, run: Run) -> Iterator[Write]:
    pod, gate, have = f"pod/{facts.pod.name}", run.options.gate, facts.images
    policy = pod_policy(snapshot, PlanContext(lease_name(run.target)), run, None)
    changed = changed_images(facts, policy)
    if changed and not restarted_containers(facts.pod, changed):
        yield Write(f"change the images of {pod}", patch_idle(facts, policy), facts.pod)
        return
    record = UpgradeRecord(
        run=run.id,
        lease=lease_name(run.target),
        gate_before=gate_before(facts, gate),
        from_images={name: have[name] for name in changed if name in have},
        to_images=policy.images,
        before={name: PreviousContainer() for name in changed},
    )
    has_gate = record.gate_before != "Absent"
    if has_gate:
        yield Write(f"close the gate of {pod}", CloseGate(facts.ref, gate, record), facts.pod)
    yield Write(
        f"change the images of {pod}", PatchImages(facts.ref, changed, record, facts.pod.spec.init_container_names()), facts.pod
    )
    if has_gate:
        yield Write(f"open the gate of {pod}", OpenGate(facts.ref, gate, "Upgraded"), facts.pod)


def learn(run: Run, write: Write, answer: Any) -> Run | RefusedWrite:
    """Returns the run as changed by the answer to a write, whose writes must then be rehearsed anew, or the same run."""
    match write.action, write.before, answer:
        case ((PatchImages(images=images) | PatchIdleImages(images=images)), Pod() as before, Pod()):
            return _learn_from_pod(run, write, images, before.spec.images(), answer.spec.images())
        case PatchTemplate(kind=kind), _, _ if write.before is not None:
            return _learn_from_template(run, write, answer.spec.template, is_target=kind == run.target.kind)
        case ((SetPaused() | SetUpdateStrategy()), _, _) if write.before is not None:
            return _learn_from_other_field(run, write, answer.spec.template)
        case CloseGate(gate=gate), _, Pod() if _gate(answer, gate) != "False":
            return RefusedWrite(write, f"its condition {gate} would be {_gate(answer, gate) or 'gone'}, not False")
        case OpenGate(gate=gate), _, Pod() if _gate(answer, gate) != "True":
            return RefusedWrite(write, f"its condition {gate} would be {_gate(answer, gate) or 'gone'}, not True")
        case _:
            return run


def unexpected_images(requested: Mapping[str, str], before: Mapping[str, str], actual: Mapping[str, str]) -> str:
    """Says how an answer's images differ in meaning from the requested ones, naming both; empty if they do not."""
    wanted = {**before, **requested}
    for name in sorted({*wanted, *actual}):
        image, actual_image = wanted.get(name), actual.get(name)
        if image is None or actual_image is None:
            return (
                f"{CHANGED}: admission {'adds' if image is None else 'takes away'} container {name} ({actual_image or image})"
            )
        if actual_image != image and not (name in requested and accepts(image, actual_image)):
            return f"{CHANGED}: admission makes {actual_image} of {image} (container {name})"
    return ""


def adopt(run: Run, made: Mapping[str, str]) -> Run | None:
    """Returns the run with names that admission began to give its images in mid-run; None if those mean other images, or if it
    does so for the second time."""
    is_new = all(name not in run.images_before_admission and accepts(run.images[name], image) for name, image in made.items())
    if not is_new:
        return None
    named = {**run.images_before_admission, **{name: run.images[name] for name in made}}
    return msgspec.structs.replace(run, images={**run.images, **made}, images_before_admission=named)


def _learn_from_pod(
    run: Run, write: Write, requested: Mapping[str, str], before: Mapping[str, str], actual: Mapping[str, str]
) -> Run | RefusedWrite:
    why = unexpected_images(requested, before, actual)
    if why:
        return RefusedWrite(write, why)
    goal = goal_of(run)
    made = {name: actual[name] for name, image in requested.items() if actual[name] != image and name in goal.images}
    return msgspec.structs.replace(run, pod_images={**run.pod_images, **made}) if made else run


def _learn_from_template(run: Run, write: Write, template: Mapping[str, Any], *, is_target: bool) -> Run | RefusedWrite:
    assert isinstance(write.before, Workload)
    before, actual = images_of(write.before.spec.template), images_of(template)
    why = unexpected_images(run.images, before, actual) or _more_than_images(write.before, template)
    made = {name: actual[name] for name, image in run.images.items() if actual.get(name, image) != image}
    if not why and made and not is_target:
        name, image = next(iter(sorted(made.items())))
        why = f"{CHANGED}: admission makes {image} of {run.images[name]} there, and not in {run.target}"
    if why:
        return RefusedWrite(write, why)
    if not made:
        return run
    named = {**{name: run.images[name] for name in made}, **run.images_before_admission}
    return msgspec.structs.replace(run, images={**run.images, **made}, images_before_admission=named)


def _learn_from_other_field(run: Run, write: Write, template: Mapping[str, Any]) -> Run | RefusedWrite:
    assert isinstance(write.before, Workload)
    before, actual = images_of(write.before.spec.template), images_of(template)
    is_accepted = before.keys() == actual.keys() and all(accepts(image, actual[name]) for name, image in before.items())
    why = "" if is_accepted else unexpected_images({}, before, actual)
    why = why or _more_than_images(write.before, template)
    return RefusedWrite(write, why) if why else run


def _more_than_images(before: Workload, template: Mapping[str, Any]) -> str:
    changed = differences(before.spec.template, template)
    return f"admission changes its template ({', '.join(changed[:5])})" if changed else ""


def _gate(pod: Pod, gate: str) -> str:
    condition = pod.condition(gate)
    return condition.status if condition is not None else ""
