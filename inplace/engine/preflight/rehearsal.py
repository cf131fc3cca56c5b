"""What the API server would make of a run, asked before its first write: each distinct kind of write that it will need, to be
sent once as a dry run, and what the answer teaches.

Admission runs in dry runs as well, and quotas are counted: so what it makes of the images is known before a pod is touched. The
digest added, or a mirror's name, becomes what the run brings the pods to; any other change is a reason not to begin.
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
    """`why`: in the API server's words, or in ours where its answer is not what was asked."""

    write: Write
    why: str


class Rehearsal(msgspec.Struct, frozen=True):
    """`run`: with the images that admission makes of those asked for."""

    run: Run
    refused: tuple[RefusedWrite, ...] = ()

    @property
    def cautions(self) -> tuple[Caution, ...]:
        """What admission makes of the images, and what the run does without."""
        run = self.run
        made = {f"{run.images[name]} of {image} (container {name})" for name, image in run.images_before_admission.items()}
        on_pods = {f"{image} of {run.images[name]} on pods (container {name})" for name, image in run.pod_images.items()}
        told = (f"admission makes {text}: that is what the run brings them to" for text in sorted(made | on_pods))
        lost = (
            f"{LOST['history']}: {each.why}" for each in self.refused if isinstance(each.write.action, CreateHistoryReplicaSet)
        )
        return (*(Caution(CHANGED, text) for text in told), *(Caution("HistoryNotKept", text) for text in lost))

    @property
    def problem(self) -> str:
        """In one line; empty: every write would be taken that the run cannot do without."""
        needed = (each for each in self.refused if not isinstance(each.write.action, CreateHistoryReplicaSet))
        told = "; ".join(f"{each.write.what}: {each.why}" for each in needed)
        return f"the API server refuses (server dry run) to {told}" if told else ""


def writes(snapshot: Snapshot, run: Run) -> Iterator[Write]:
    """The template of the target first: what becomes of it is what the others are asked with."""
    found, kind = snapshot.target.workload, run.target.kind
    if found is not None and kind != "Pods":
        init = init_names_of(found.spec.template)
        yield Write(f"change the template of {run.target}", PatchTemplate(*preconditions(found), kind, run.images, init), found)
    for facts in _distinct(snapshot, run):
        yield from _pod_writes(facts, snapshot, run)
    yield from strategy_for(snapshot).writes(run)


def _distinct(snapshot: Snapshot, run: Run) -> Iterator[ObservedPod]:
    """One pod of each shape that is to be worked on: the same images, made from the same template, with the same gate."""
    policy = pod_policy(snapshot, PlanContext(lease_name(run.target)), run, None)
    found = [assess_pod(facts, policy, None, 0.0) for facts in snapshot.pods]
    seen = set()
    for facts in (j.facts for j in upgrade_order((j for j in found if j.stage == "Pending"), snapshot)):
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
    """What the answer of a write teaches. Another run than the one given: its writes are to be asked afresh."""
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


def unexpected_images(asked: Mapping[str, str], before: Mapping[str, str], answered: Mapping[str, str]) -> str:
    """Where an answer has other images than were asked for, and none that stands for those: in words that name both."""
    wanted = {**before, **asked}
    for name in sorted({*wanted, *answered}):
        image, got = wanted.get(name), answered.get(name)
        if image is None or got is None:
            return f"{CHANGED}: admission {'adds' if image is None else 'takes away'} container {name} ({got or image})"
        if got != image and not (name in asked and accepts(image, got)):
            return f"{CHANGED}: admission makes {got} of {image} (container {name})"
    return ""


def adopt(run: Run, made: Mapping[str, str]) -> Run | None:
    """The run with what admission has begun to make of its images in the middle. None: those are others, or it does so for the
    second time."""
    is_new = all(name not in run.images_before_admission and accepts(run.images[name], image) for name, image in made.items())
    if not is_new:
        return None
    named = {**run.images_before_admission, **{name: run.images[name] for name in made}}
    return msgspec.structs.replace(run, images={**run.images, **made}, images_before_admission=named)


def _learn_from_pod(
    run: Run, write: Write, asked: Mapping[str, str], before: Mapping[str, str], answered: Mapping[str, str]
) -> Run | RefusedWrite:
    why = unexpected_images(asked, before, answered)
    if why:
        return RefusedWrite(write, why)
    goal = goal_of(run)
    made = {name: answered[name] for name, image in asked.items() if answered[name] != image and name in goal.images}
    return msgspec.structs.replace(run, pod_images={**run.pod_images, **made}) if made else run


def _learn_from_template(run: Run, write: Write, template: Mapping[str, Any], *, is_target: bool) -> Run | RefusedWrite:
    assert isinstance(write.before, Workload)
    before, answered = images_of(write.before.spec.template), images_of(template)
    why = unexpected_images(run.images, before, answered) or _more_than_images(write.before, template)
    made = {name: answered[name] for name, image in run.images.items() if answered.get(name, image) != image}
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
    before, answered = images_of(write.before.spec.template), images_of(template)
    is_accepted = before.keys() == answered.keys() and all(accepts(image, answered[name]) for name, image in before.items())
    why = "" if is_accepted else unexpected_images({}, before, answered)
    why = why or _more_than_images(write.before, template)
    return RefusedWrite(write, why) if why else run


def _more_than_images(before: Workload, template: Mapping[str, Any]) -> str:
    changed = differences(before.spec.template, template)
    return f"admission changes its template ({', '.join(changed[:5])})" if changed else ""


def _gate(pod: Pod, gate: str) -> str:
    condition = pod.condition(gate)
    return condition.status if condition is not None else ""
