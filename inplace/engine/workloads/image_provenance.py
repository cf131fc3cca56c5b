"""Whose word there is for an image, besides a stored run's: that is written where fewer rights are needed than to change a pod.

A pod that runs an image, a record on a pod, and a template of the workload or of its history are written by whoever may change
pods or workloads. A run in a Lease says nothing of its own: it takes pods to no image, on or back, that none of these knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from inplace.engine.snapshot import DaemonSetTarget, DeploymentTarget, PodsTarget, ReplicaSetTarget, Snapshot, StatefulSetTarget
from inplace.engine.workloads.template_last import active_replica_set
from inplace.engine.workloads.templates import images_of
from inplace.model.record import UpgradeRecord
from inplace.model.run import Run

Images = Mapping[str, str]


def believed(stored: Run, observed: Snapshot, asked: Images) -> Run:
    """The stored run without the images that nobody vouches for, not even the person who asks now; and without a commit that
    nothing shows. Behind the pause of one that has begun, the old template may be nowhere else any more."""
    known = {*_known(observed), *asked.items()}

    def checked(images: Images) -> dict[str, str]:
        return {name: image for name, image in images.items() if (name, image) in known}

    wanted = checked(stored.original_images) if stored.original_images is not None else None
    images, before = checked(stored.images), checked(stored.from_images)
    is_begun = _is_paused(observed) or all(facts.runs(stored.images) for facts in observed.pods)
    commit = stored.commit if is_begun else None
    if commit is not None and _is_paused(observed):
        before = stored.from_images
    # What admission is said to make of an image is learned afresh where only the Lease says so.
    named = {name: image for name, image in checked(stored.named).items() if name in stored.images and name not in images}
    return msgspec.structs.replace(
        stored,
        images={**images, **named} if wanted is None else images,
        named={name: image for name, image in stored.named.items() if name in images},
        pod_images=checked(stored.pod_images),
        pod_from_images=checked(stored.pod_from_images),
        from_images=before,
        original_images=wanted,
        commit=commit,
    )


def believed_commit(observed: Snapshot, run: Run) -> Run:
    """As far as a stored commit may be finished for its own sake: on the ReplicaSet that has the pods; and what goes into the
    history is an old template that something besides the run knows, or that we can have replaced: we do so behind a pause."""
    match observed.target:
        case DeploymentTarget() as target if run.commit is not None:
            live = active_replica_set(target)
            if live is None or live.metadata.uid != run.commit.live_uid:
                return msgspec.structs.replace(run, commit=None)
            if unvouched(run.from_images, observed) and not _is_paused(observed):
                return msgspec.structs.replace(run, from_images=run.images)
        case _:
            pass
    return run


def unfinished(observed: Snapshot, run: Run) -> str:
    """Why a stored commit is left, and what to do."""
    told = ", ".join(f"{name}={image}" for name, image in run.images.items())
    others = [facts.pod.name for facts in observed.pods if not facts.runs(run.images)]
    why = f"pod/{others[0]} does not run that" if others else "not every pod is back in service"
    words = " ".join((*run.target.words, *(f"{name}={image}" for name, image in run.images.items())))
    return f"its commit of {told} is not finished, since {why}: `inplace upgrade {words}` brings the pods there"


def _is_paused(observed: Snapshot) -> bool:
    target = observed.target
    return isinstance(target, DeploymentTarget) and target.deployment is not None and target.deployment.spec.paused


def unvouched(images: Images, observed: Snapshot) -> str:
    """Those that nobody vouches for, in words; empty: none."""
    known = set(_known(observed))
    return ", ".join(f"{name}={image}" for name, image in images.items() if (name, image) not in known)


def _known(observed: Snapshot) -> Iterator[tuple[str, str]]:
    for facts in observed.pods:
        yield from facts.images.items()
        if isinstance(facts.record, UpgradeRecord):
            yield from facts.record.from_images.items()
            yield from facts.record.to_images.items()
    for template in _templates(observed):
        yield from images_of(template).items()


def _templates(observed: Snapshot) -> Iterator[Mapping[str, Any]]:
    match observed.target:
        case DeploymentTarget(deployment=workload, replica_sets=history):
            yield from (rs.spec.template for rs in history)
        case (
            StatefulSetTarget(stateful_set=workload, revisions=revisions)
            | DaemonSetTarget(daemon_set=workload, revisions=revisions)
        ):
            yield from (revision.template for revision in revisions)
        case ReplicaSetTarget(replica_set=workload):
            pass
        case PodsTarget():
            return
    if workload is not None:
        yield workload.spec.template
